"""One segment of htdemucs, 7.8 s, here and in PyTorch, in turn.

Times are ratios within one run, because machines are noisy; what comes out is verified first.
Needs the extra `reference`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from parity.core.compare import snr_db


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    options = parser.parse_args()
    theirs, ours = _both(options.threads)
    mix = np.random.default_rng(1).uniform(-0.5, 0.5, (1, 2, 343_980)).astype(np.float32)
    snr = snr_db(ours(mix), theirs(mix))
    if snr < 100:
        raise SystemExit(f"The outputs differ: SNR {snr:.1f} dB.")
    pairs = [(_seconds(theirs, mix), _seconds(ours, mix)) for _ in range(options.rounds)]
    ratios = sorted(here / there for there, here in pairs)
    for name, times in zip(("PyTorch", "TensorFlow"), zip(*pairs, strict=True), strict=True):
        print(f"{name:<11}{statistics.median(times):6.2f} s ({min(times):.2f} to {max(times):.2f})")
    print(f"{'ratio':<11}{statistics.median(ratios):6.2f}   ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def _both(threads: int) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """The reference's htdemucs with PyTorch's initial weights, and the port as a graph."""
    import tensorflow as tf
    import torch
    from demucs.htdemucs import HTDemucs

    from demucs_tf import from_torch
    from demucs_tf.models.presets import PRESETS

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    preset = PRESETS["htdemucs"]
    module = HTDemucs(list(preset.sources), **preset.arguments).eval()
    signature = [tf.TensorSpec([None, 2, None], tf.float32)]
    graph = tf.function(from_torch(module), input_signature=signature, autograph=False)

    def theirs(mix: Any) -> Any:
        with torch.no_grad():
            return module(torch.from_numpy(mix)).numpy()

    return theirs, lambda mix: graph(mix).numpy()


def _seconds(run: Callable[[Any], Any], mix: Any) -> float:
    start = time.perf_counter()
    run(mix)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
