"""Channels and sample rates of audio in memory. Arrays are (channels, samples)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.errors import AudioError

Array = npt.NDArray[Any]

_RESAMPLE_NUMBERS = 1 << 22  # of one block of windows: 16 MB in float32
_KERNEL_NUMBERS = 1 << 27  # of the filter: 512 MB


def convert_channels(wav: Array, channels: int) -> Array:
    """Give `wav` (A, T) that many channels: (channels, T).

    To mono: the mean. From mono: copies. From more to fewer: the first ones, nothing mixed in.

    Raises:
        AudioError: more channels are wanted than there are, and there is more than one.

    Reference: demucs/audio.py::convert_audio_channels
    """
    found = wav.shape[0]
    if found == channels:
        return wav
    if channels == 1:
        return wav.mean(axis=0, keepdims=True)
    if found == 1:
        return np.repeat(wav, channels, axis=0)
    if found > channels:
        return wav[:channels]
    raise AudioError(
        f"expected mono or at least {channels} channels, found {found}. Convert the audio first."
    )


def convert_audio(wav: Array, rate: int, to_rate: int, channels: int) -> Array:
    """Convert channels, then the sample rate, in the order of demucs/audio.py::convert_audio."""
    return resample(convert_channels(wav, channels), rate, to_rate)


def resample(wav: Array, old_rate: int, new_rate: int) -> Array:
    """Resample the last axis with julius's sinc filter, in the dtype of `wav`.

    Beyond its ends the first and the last sample are repeated. Works in blocks: besides input
    and output it takes memory for one padded channel.

    Shape: (..., T) -> (..., T'), T' = floor(T new_rate / old_rate).

    Raises:
        AudioError: the rates have so small a common divisor that the filter gets too large.

    Reference: julius/resample.py::resample_frac (julius 0.2.8)
    """
    from demucs_tf.layers.resample import sinc_kernel

    common = math.gcd(old_rate, new_rate)
    old, new = old_rate // common, new_rate // common
    if old == new or not wav.size:
        return wav
    if old * new > _KERNEL_NUMBERS:
        raise AudioError(
            f"{old_rate} Hz is too odd to convert to {new_rate} Hz here: they have no large "
            f"common divisor. Convert the audio first: ffmpeg -i in.wav -ar {new_rate} out.wav"
        )
    filters = sinc_kernel(old, new).T.astype(wav.dtype)  # (K, phases)
    length = _resampled_length(wav.shape[-1], old, new)
    rows = [_resample_row(row, filters, old) for row in wav.reshape(-1, wav.shape[-1])]
    return np.stack([row[:length] for row in rows]).reshape(*wav.shape[:-1], -1)


def _resample_row(row: Array, filters: Array, stride: int) -> Array:
    """(T,) -> (T',): every window of K samples, `stride` apart, times every phase's filter."""
    taps, phases = filters.shape
    width = (taps - stride) // 2
    padded = np.pad(row, (width, width + stride), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)[::stride]  # (N, K), a view
    out = np.empty((len(windows), phases), row.dtype)
    step = max(1, _RESAMPLE_NUMBERS // taps)
    for first in range(0, len(windows), step):
        block = np.ascontiguousarray(windows[first : first + step])
        np.matmul(block, filters, out=out[first : first + step])
    return out.reshape(-1)


def _resampled_length(length: int, old: int, new: int) -> int:
    # QUIRK julius/resample.py:137-139: the length passes through float32 before it is floored,
    # so that of more than 2**24 samples (6.3 minutes at 44.1 kHz) may be off by one.
    return math.floor(np.float32(new * length / old))
