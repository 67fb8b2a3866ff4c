"""Fine-tune a Demucs on one piece of music: a loop of a few steps, and the saved model.

The only music here is `piece.flac`, and its stems are not in the repository. So the example learns
something that needs none: to split a piece into what both channels share and what differs between
them. For real stems, replace `targets` and read your own files.

    python examples/finetune.py --out tuned.safetensors
    python examples/finetune.py --checkpoint yours.th --out tuned.safetensors
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import demucs_tf
from demucs_tf.audio.reader import read_audio
from demucs_tf.utils.quiet import quiet

PIECE = Path(__file__).with_name("piece.flac")
SOURCES = ["middle", "side"]


def main() -> None:
    """Load or make a model, train it for a few steps, save it, and read it back."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="start from this model")
    parser.add_argument("--out", type=Path, default=Path("tuned.safetensors"), metavar="FILE")
    parser.add_argument("--steps", type=int, default=6, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.25, metavar="S", help="of an excerpt")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():  # TensorFlow's notes about this machine
        import keras

    keras.utils.set_random_seed(0)
    model = start(options.checkpoint)
    optimizer = keras.optimizers.Adam(1e-2)
    wav, _ = read_audio(PIECE)
    length = min(int(options.seconds * model.samplerate), wav.shape[-1] - 1)
    # Always the same excerpts, so that a few steps show the loss fall; a training draws new ones.
    mix = excerpts(wav, length, count=2, seed=0)
    stems = targets(mix, len(model.sources))
    for step in range(options.steps):
        began = time.monotonic()
        loss = train_step(model, optimizer, mix, stems)
        print(f"step {step}: loss {float(loss):.4f}, {time.monotonic() - began:.1f} s", flush=True)
    demucs_tf.save_model(model, options.out)
    again = demucs_tf.load_model(options.out)
    same = np.array_equal(again(mix), model(mix))
    print(f"{options.out}: {'the same model, bit for bit' if same else 'another model!'}")
    print(f"next: demucs-tf separate {PIECE} -n {options.out} -o stems")


def start(checkpoint: Path | None) -> Any:
    """A model to train: the checkpoint's, or a small one with fresh weights."""
    if checkpoint is not None:
        model = demucs_tf.load_model(checkpoint)
        if isinstance(model, demucs_tf.BagOfModels):
            raise SystemExit(f"{checkpoint} is a bag: choose one of its models.")
        return model
    return demucs_tf.DemucsTF(SOURCES, channels=8, depth=3, dconv_attn=2, dconv_lstm=2)


def train_step(model: Any, optimizer: Any, mix: Any, stems: Any) -> Any:
    """One step down the mean absolute error, the reference's loss; returns the loss before it.

    A long training gains from `tf.function` around this function: tracing takes a minute once,
    and every step after it is faster.
    """
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.abs(model(mix) - stems))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return loss


def excerpts(wav: np.ndarray, length: int, count: int, seed: int) -> np.ndarray:
    """`count` random stretches of `wav` (A, T): (count, A, length)."""
    starts = np.random.RandomState(seed).randint(0, wav.shape[-1] - length, count)
    return np.stack([wav[:, start : start + length] for start in starts])


def targets(mix: np.ndarray, sources: int) -> np.ndarray:
    """What the model shall give, (B, S, A, T); stands in for stems of real music."""
    middle = np.repeat(mix.mean(axis=1, keepdims=True), mix.shape[1], axis=1)
    rest = [(mix - middle) / (sources - 1)] * (sources - 1) if sources > 1 else []
    return np.stack([middle, *rest], axis=1)


if __name__ == "__main__":
    main()
