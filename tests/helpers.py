"""Small things that several test modules share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def noise(*shape: int, seed: int = 0, dtype: str = "float32") -> Array:
    """Reproducible white noise of deviation 0.1."""
    return (np.random.default_rng(seed).standard_normal(shape) * 0.1).astype(dtype)


class FakeTF:
    """Three "stems" that depend on level, on position in the chunk, and on the sample before.

    `FakeTorch` below does the same operations in the same order, so both agree bit by bit.
    """

    sources = ["level", "place", "before"]  # noqa: RUF012
    audio_channels = 2
    samplerate = 100
    segment = 1.0

    def __init__(self, dtype: str = "float32", audio_channels: int = 2) -> None:
        self.compute_dtype = dtype
        self.audio_channels = audio_channels

    def __call__(self, mix: Any) -> Any:
        import tensorflow as tf

        length = tf.shape(mix)[-1]
        place = tf.cast(tf.range(1, length + 1), mix.dtype) / tf.cast(length, mix.dtype)
        return tf.stack([mix * 0.5, mix * place, mix + tf.roll(mix, 1, -1)], 1)


class PaddedFakeTF(FakeTF):
    """The same, with input lengths that are 3 modulo 8."""

    def valid_length(self, length: int) -> int:
        return padded_length(length)


def padded_length(length: int) -> int:
    return -(-(length - 3) // 8) * 8 + 3


def fake_torch(padded: bool) -> Any:
    """The torch twin of `FakeTF` or, if `padded`, of `PaddedFakeTF`."""
    import torch

    class FakeTorch(torch.nn.Module):
        sources = FakeTF.sources
        audio_channels = FakeTF.audio_channels
        samplerate = FakeTF.samplerate
        segment = FakeTF.segment

        def forward(self, mix: Any) -> Any:
            length = mix.shape[-1]
            place = torch.arange(1, length + 1).to(mix.dtype) / length
            return torch.stack([mix * 0.5, mix * place, mix + torch.roll(mix, 1, -1)], 1)

    module = FakeTorch()
    if padded:
        module.valid_length = padded_length
    return module
