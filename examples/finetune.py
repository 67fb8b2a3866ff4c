"""Fine-tune a model on the first part of a piece, and measure it on the rest, before and after.

    python examples/finetune.py --piece music/test/test-0-0000 --out tuned.safetensors
    python examples/finetune.py --piece YOURS --checkpoint yours.th --out tuned.safetensors

The folder of the piece has a WAV or FLAC file for each stem of the model: drums, bass, other,
vocals. Without --piece it is the one in this folder. The result loads here and in demucs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import demucs_tf
from demucs_tf.errors import DemucsTFError
from demucs_tf.utils.quiet import quiet

PIECE = Path(__file__).with_name("piece_stems")
LEARNT = 0.6  # so much of the piece is learnt; the rest is measured


def main() -> int:
    """Measure, train, measure again, and save."""
    options = parser().parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():  # TensorFlow's notes about this machine
        import keras
    try:
        keras.utils.set_random_seed(options.seed)
        model = demucs_tf.load_model(options.checkpoint)
        if isinstance(model, demucs_tf.BagOfModels):
            raise ValueError(f"{options.checkpoint} is a bag: choose one of its models.")
        gains = finetune(model, options)
    except (DemucsTFError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"mean gain {np.mean(gains):+.2f} dB; {options.out}")
    print(f"next: demucs-tf separate SONG -n {options.out} -o stems")
    return 0


def finetune(model: Any, options: argparse.Namespace) -> Any:
    """Train and save; the gain of each stem in dB, (S)."""
    from demucs_tf.training import Augmentation, Batches, Plan, StemFolder, train

    folder = StemFolder(options.piece, model.sources, model.samplerate, model.audio_channels)
    held_out = folder.part(LEARNT, 1.0)
    before = measure(model, held_out)
    # A new piece has its own instruments: they shall stay as they are, only in other mixes.
    changes = Augmentation(remix=0.5, gain=(0.5, 1.5), flip_sign=False)
    batches = Batches(folder.part(0.0, LEARNT), 4, options.seconds, changes, options.seed)
    steps = -(-options.steps // 10) * 10
    plan = Plan(steps, 10, options.learning_rate, warmup=5, decay=steps // 2, average=0.9)
    with tempfile.TemporaryDirectory(prefix="finetune-") as work:
        state = train(model, batches, plan, work, minutes=options.minutes, verbose=2)
    after = measure(model, held_out)
    print(f"SDR in dB of the held-out part, after {state.step} steps:")
    for stem, old, new in zip(model.sources, before, after, strict=True):
        print(f"  {stem:8s} {old:6.2f} -> {new:6.2f}  {new - old:+.2f}")
    demucs_tf.save_model(model, options.out)
    return after - before


def measure(model: Any, folder: Any) -> Any:
    """SDR of each stem of the one piece in a folder, in dB, (S)."""
    from demucs_tf.training.metrics import sdr

    (piece,) = folder.pieces
    stems = np.stack([piece.read(stem, 0, piece.frames) for stem in model.sources])
    found = demucs_tf.apply_model(model, stems.sum(axis=0)[None], shifts=0)
    return np.asarray(sdr(stems[None], np.asarray(found)))[0]


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = made.add_argument
    add("--piece", type=Path, default=PIECE, metavar="DIR", help="a folder of stems")
    add("--checkpoint", default="demo", metavar="NAME", help="start from this model")
    add("--out", type=Path, default=Path("tuned.safetensors"), metavar="FILE")
    add("--minutes", type=float, default=5.0, metavar="M", help="at most (default: 5)")
    add("--steps", type=int, default=300, metavar="N", help="at most (default: 300)")
    add("--seconds", type=float, default=2.0, metavar="S", help="of an excerpt (default: 2)")
    add("--learning-rate", type=float, default=1e-3, metavar="X")
    add("--seed", type=int, default=0, metavar="N")
    return made


if __name__ == "__main__":
    sys.exit(main())
