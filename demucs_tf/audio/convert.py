"""Audio as arrays (channels, samples): in blocks, with other channels, at another rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import EllipsisType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from demucs_tf.audio.resampler import Resampler, resampled_length
from demucs_tf.errors import AudioError

Array = npt.NDArray[Any]
Range = tuple[EllipsisType, slice]

BLOCK = 1 << 18  # samples of time: 6 s at 44.1 kHz

# Hz of audio that is raised to as many or more: 12 kB at 1 Hz would become 50 minutes of a track.
_LEAST_RATE = 1000


class Samples(Protocol):
    """(..., T), of which ranges of samples can be had: an array, or what stands for one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The last axis is time."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""

    def __getitem__(self, key: Range, /) -> Array:
        """`samples[..., start:stop]`, 0 <= start <= stop <= T."""


def blocks_of(samples: Samples, size: int = BLOCK) -> Iterator[Array]:
    """Yield all samples in order, `size` at a time."""
    for start in range(0, samples.shape[-1], size):
        yield samples[..., start : min(start + size, samples.shape[-1])]


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
        return _mean(wav)
    if found == 1:
        return np.repeat(wav, channels, axis=0)
    if found > channels:
        return wav[:channels]
    raise AudioError(
        f"expected mono or at least {channels} channels, found {found}. Convert the audio first."
    )


def _mean(wav: Array) -> Array:
    # Channel after channel: the order in which np.mean adds depends on length and memory layout,
    # and with it the last bit.
    total = wav[:1].copy()
    for row in wav[1:]:
        total += row
    total /= total.dtype.type(len(wav))
    return total


def convert_audio(wav: Array, rate: int, to_rate: int, channels: int) -> Array:
    """Convert channels, then the sample rate, in the order of demucs/audio.py::convert_audio.

    Raises:
        AudioError: channels or rates that can't be converted.
    """
    _check_rates(rate, to_rate)
    return resample(convert_channels(wav, channels), rate, to_rate)


def convert_blocks(
    blocks: Iterable[Array], rate: int, to_rate: int, channels: int, dtype: npt.DTypeLike
) -> Iterator[Array]:
    """`convert_audio` of a track that comes in blocks (A, n), in the given dtype.

    Yields:
        (channels, m), m >= 1; joined, they equal `convert_audio(wav.astype(dtype), ...)` of the
        joined blocks to the last bit.

    Raises:
        AudioError: channels or rates that can't be converted; at the first block.
    """
    _check_rates(rate, to_rate)
    resampler = Resampler(rate, to_rate, channels, dtype)
    for block in blocks:
        converted = convert_channels(block.astype(dtype, copy=False), channels)
        if (out := resampler.push(converted)).shape[1]:
            yield out
    if (out := resampler.flush()).shape[1]:
        yield out


def _check_rates(rate: int, to_rate: int) -> None:
    if rate < _LEAST_RATE <= to_rate:
        raise AudioError(
            f"expected audio of at least {_LEAST_RATE} Hz, found {rate} Hz. Convert the audio "
            "first, for example to 44100 Hz: ffmpeg -i in.wav -ar 44100 out.wav"
        )


def resample(wav: Array, old_rate: int, new_rate: int) -> Array:
    """Resample the last axis with julius's sinc filter, in the dtype of `wav`; see `Resampler`.

    Shape: (..., T) -> (..., T'), T' = floor(T new_rate / old_rate).

    Raises:
        AudioError: the rates have so small a common divisor that the filter gets too large.

    Reference: julius/resample.py::resample_frac (julius 0.2.8)
    """
    if old_rate == new_rate or not wav.size:
        return wav
    rows = wav.reshape(-1, wav.shape[-1])
    out = np.empty((len(rows), resampled_length(rows.shape[1], old_rate, new_rate)), wav.dtype)
    place = 0
    for part in _resampled(Resampler(old_rate, new_rate, len(rows), wav.dtype), rows):
        out[:, place : place + part.shape[1]] = part
        place += part.shape[1]
    return out.reshape(*wav.shape[:-1], -1)


def _resampled(resampler: Resampler, rows: Array) -> Iterator[Array]:
    for block in blocks_of(rows):
        yield resampler.push(block)
    yield resampler.flush()
