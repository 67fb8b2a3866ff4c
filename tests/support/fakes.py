"""Small things that several test modules share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from demucs_tf.utils import processor

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

    def __init__(self, dtype: str = "float32", audio_channels: int = 2, gain: float = 1.0) -> None:
        self.compute_dtype = dtype
        self.audio_channels = audio_channels
        self.gain = gain

    def __call__(self, mix: Any) -> Any:
        import tensorflow as tf

        length = tf.shape(mix)[-1]
        place = tf.cast(tf.range(1, length + 1), mix.dtype) / tf.cast(length, mix.dtype)
        mix = mix * self.gain
        return tf.stack([mix * 0.5, mix * place, mix + tf.roll(mix, 1, -1)], 1)


class PaddedFakeTF(FakeTF):
    """The same, with input lengths that are 3 modulo 8."""

    def valid_length(self, length: int) -> int:
        return padded_length(length)


def padded_length(length: int) -> int:
    return -(-(length - 3) // 8) * 8 + 3


def fake_torch(padded: bool, gain: float = 1.0) -> Any:
    """The torch twin of `FakeTF` or, if `padded`, of `PaddedFakeTF`."""
    import torch

    class FakeTorch(torch.nn.Module):
        sources = FakeTF.sources
        audio_channels = FakeTF.audio_channels
        samplerate = FakeTF.samplerate
        segment = FakeTF.segment

        def __init__(self) -> None:
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))  # a bag asks for its device

        def forward(self, mix: Any) -> Any:
            length = mix.shape[-1]
            place = torch.arange(1, length + 1).to(mix.dtype) / length
            mix = mix * gain
            return torch.stack([mix * 0.5, mix * place, mix + torch.roll(mix, 1, -1)], 1)

    module = FakeTorch()
    if padded:
        module.valid_length = padded_length
    return module


@contextmanager
def sums_in_float64(*modules: Any) -> Iterator[None]:
    """Let the reference weigh and add its chunks in float64, torch's default being float32.

    Its models go on as they are: their windows and positions are of the default dtype, too.
    """
    import torch

    single, double = torch.float32, torch.float64
    hooks = [
        m.register_forward_pre_hook(lambda *_: torch.set_default_dtype(single)) for m in modules
    ]
    hooks += [m.register_forward_hook(lambda *_: torch.set_default_dtype(double)) for m in modules]
    torch.set_default_dtype(double)
    try:
        yield
    finally:
        torch.set_default_dtype(single)
        for hook in hooks:
            hook.remove()


def with_processor(
    folder: Path, patch: pytest.MonkeyPatch, flags: str | None, setting: dict[str, str]
) -> None:
    """Let the machine say that its processor has these flags, or nothing at all."""
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS"):
        patch.delenv(name, raising=False)
    for name, value in setting.items():
        patch.setenv(name, value)
    if flags is not None:
        (folder / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    patch.setattr(processor, "_CPUINFO", folder / "cpuinfo")
