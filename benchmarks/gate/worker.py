"""Runs a model of the `demucs_tf` that PYTHONPATH names, whenever a line comes in.

It is started as a file, so that it is this one whatever that commit has, and uses nothing but what
every commit has: presets, engines, and the harness's seeded weights.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np


def main(preset: str, segment: float | None, out: str) -> None:
    """Say when ready, then the seconds of each pass."""
    from demucs_tf.utils.quiet import import_tensorflow, quiet

    with quiet():  # it says much otherwise
        import_tensorflow()
    from demucs_tf.checkpoints.weights import load_state, read_state
    from demucs_tf.inference.engine import forward_function
    from demucs_tf.models.presets import build
    from parity.core.seeding import seeded_state

    changes: dict[str, Any] = {} if segment is None else {"segment": segment}
    model = build(preset, **changes)
    load_state(model, seeded_state(((k, a.shape) for k, a in read_state(model).items()), 0))
    shape = (1, model.audio_channels, int(model.segment * model.samplerate))
    mix = np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)
    shifts = [np.zeros(1, np.int32)] if hasattr(model, "draw_shift") else []
    run = forward_function(model)
    np.save(out, run(mix, *shifts))
    print("seconds 0", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run(mix, *shifts)
        print(f"seconds {time.perf_counter() - start}", flush=True)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    main(**json.loads(sys.argv[1]))
