"""Make a `.safetensors` checkpoint half as large: weights in half precision, as published ones are.

    python examples/halve.py run/model.safetensors small.safetensors

It still loads here and in demucs; the weights are rounded to 11 bits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from demucs_tf.utils.atomic import write_whole


def main() -> None:
    """Round every array of one file into another."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: halve.py IN.safetensors OUT.safetensors")
    source, target = map(Path, sys.argv[1:])
    with safe_open(source, "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    if not all(np.isfinite(half).all() for half in halves.values()):
        raise SystemExit(f"{source}: weights beyond the range of half precision, 65504.")
    with write_whole(target) as temporary:
        save_file(halves, temporary, metadata=metadata)
    target.chmod(0o644)


if __name__ == "__main__":
    main()
