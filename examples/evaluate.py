"""Measure a model on pieces whose stems are known: SDR by museval, and that of the mixture itself.

    python examples/evaluate.py --data music/test -n demo --json scores.json

SDR is museval's (BSSEval v4), the median over frames of one second, as campaigns have it. The
mixture's own SDR as an estimate of a stem is had without a model; a model is worth what it adds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.errors import DemucsTFError

Array = npt.NDArray[Any]
RATE = 44100


def main() -> int:
    """Measure each piece, print a line each, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="pieces")
    parser.add_argument("-n", "--name", default="demo", help="model (default: demo)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return evaluate(options)
    except DemucsTFError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def evaluate(options: argparse.Namespace) -> int:
    """What `main` says."""
    import demucs_tf
    from demucs_tf.training import StemFolder

    separator = demucs_tf.Separator(options.name, seed=0)
    stems = separator.model.sources
    folder = StemFolder(options.data, stems, scan=False)
    rows = {}
    print(f"{'SDR in dB, above the mixture':30s}", *(f"{stem:>14s}" for stem in stems))
    for piece in folder.pieces:
        truth = np.stack([piece.read(stem, 0, piece.frames) for stem in stems])
        before = of_mixture(truth)
        _, found = separator.separate_tensor(truth.sum(axis=0), RATE)
        got = sdr(truth, np.stack([np.asarray(found[stem]) for stem in stems]))
        rows[piece.name] = {"sdr": got, "mixture": before}
        print(line(piece.name, got, before), flush=True)
    table = {name: np.array([row[name] for row in rows.values()]) for name in ("sdr", "mixture")}
    gains = table["sdr"] - table["mixture"]
    print(line("median", np.median(table["sdr"], 0), np.median(table["mixture"], 0)))
    print(f"{'median of the gains':30s}", *(f"{gain:14.2f}" for gain in np.median(gains, 0)))
    print(f"{'least of the gains':30s}", *(f"{gain:14.2f}" for gain in gains.min(0)))
    if options.json:
        options.json.write_text(json.dumps({"stems": list(stems), "pieces": rows}, indent=1))
    return 0


def line(name: str, got: Any, mixture: Any) -> str:
    """A line of the table: SDR, and how far it is above the mixture's."""
    return " ".join(
        [f"{name:30s}", *(f"{g:6.2f} {g - m:+7.2f}" for g, m in zip(got, mixture, strict=True))]
    )


def of_mixture(truth: Array) -> list[float]:
    """The SDR of the mixture as an estimate of each stem."""
    return sdr(truth, np.repeat(truth.sum(axis=0)[None], len(truth), axis=0))


def sdr(truth: Array, estimates: Array) -> list[float]:
    """Median over seconds of BSSEval v4's SDR of each stem, in dB; (S, A, T) twice."""
    from demucs_tf.training.evaluation import median_sdr

    return [float(each) for each in median_sdr(truth, estimates, RATE)]


if __name__ == "__main__":
    sys.exit(main())
