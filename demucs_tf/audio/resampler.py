"""Julius's sinc resampling of audio that comes in blocks. Arrays are (channels, samples)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.errors import AudioError

Array = npt.NDArray[Any]

# Of the windows that are multiplied at once: 4 MB in float32. With a fourth of it, threads that
# wait for each other take twice the time.
_WINDOW_NUMBERS = 1 << 20
# Of a filter that is kept as a whole: 16 MB in float32.
_KERNEL_NUMBERS = 1 << 22
# Of the bands of a larger one: 256 MB in float32.
_BAND_NUMBERS = 1 << 26


class Resampler:
    """Resample a track block by block, with julius's filter, in the given dtype.

    Beyond its ends the first and the last sample are repeated. However the track is cut into
    blocks, the output is the same to the last bit: products are taken of windows that are
    counted from the start of the track. Memory: some 15 MB for stereo in float32, besides the
    filter and the blocks.

    Args:
        old_rate, new_rate: in Hz. Equal ones pass blocks through.
        channels: A.
        dtype: of the output, "float32" or "float64"; blocks are converted to it.

    Raises:
        AudioError: a rate is out of bounds, so that the filter gets too large.

    Reference: julius/resample.py::ResampleFrac (julius 0.2.8)
    """

    def __init__(self, old_rate: int, new_rate: int, channels: int, dtype: npt.DTypeLike) -> None:
        common = math.gcd(old_rate, new_rate)
        self._old, self._new = old_rate // common, new_rate // common
        self._dtype = np.dtype(dtype)
        self._channels = channels
        self._done = False
        self._passes = self._old == self._new
        if self._passes:
            return
        self._filters = _filters(self._old, self._new, self._dtype)
        self._prepare()

    def _prepare(self) -> None:
        self._taps = taps = self._filters.taps
        self._width = (taps - self._old) // 2
        self._step = max(1, _WINDOW_NUMBERS // taps)  # windows in one product
        self._buffer = np.empty((self._channels, (self._step - 1) * self._old + taps), self._dtype)
        self._filled = 0  # samples in the buffer, the repeated ones at the start among them
        self._received = 0
        self._emitted = 0
        self._held = self._nothing()  # computed, but perhaps beyond the end
        self._last = self._nothing()

    def push(self, block: Array) -> Array:
        """Take the next samples, (A, n), and return what is known of the output, (A, m), m >= 0."""
        if self._done:
            raise ValueError("push() after flush(): make a new Resampler for another track.")
        block = np.asarray(block, self._dtype)
        if block.ndim != 2 or block.shape[0] != self._channels:
            raise ValueError(f"expected ({self._channels} channels, samples), got {block.shape}.")
        if self._passes or not block.shape[1]:
            return block
        if not self._received:
            self._buffer[:, : self._width] = block[:, :1]
            self._filled = self._width
        self._received += block.shape[1]
        self._last = block[:, -1:].copy()
        return self._emit(self._filter(block))

    def flush(self) -> Array:
        """End the track, and return the rest of the output: (A, m).

        In total there are floor(T new_rate / old_rate) samples.
        """
        self._done = True
        if self._passes or not self._received:
            return self._nothing()
        after = np.repeat(self._last, self._width + self._old, axis=1)
        full = self._filter(after)
        count = max(0, self._filled - self._taps + self._old) // self._old
        rest = np.empty((self._channels, count * self._new), self._dtype)
        self._multiply(count, rest)
        return self._emit(np.concatenate([full, rest], axis=1))

    def _filter(self, block: Array) -> Array:
        """The output of every window product that `block` completes."""
        size, advance = self._buffer.shape[1], self._step * self._old
        products = max(0, self._filled + block.shape[1] - size + advance) // advance
        length = self._step * self._new
        out = np.empty((self._channels, products * length), self._dtype)
        place = done = 0
        while place < block.shape[1]:
            part = block[:, place : place + size - self._filled]
            self._buffer[:, self._filled : self._filled + part.shape[1]] = part
            self._filled += part.shape[1]
            place += part.shape[1]
            if self._filled == size:
                self._multiply(self._step, out[:, done : done + length])
                done += length
                self._buffer[:, : size - advance] = self._buffer[:, advance:]
                self._filled = size - advance
        return out

    def _multiply(self, count: int, out: Array) -> None:
        """Every phase's filter times the first `count` windows of the buffer."""
        for row, target in zip(self._buffer, out, strict=True):
            if count:
                views = np.lib.stride_tricks.sliding_window_view(row, self._taps)[:: self._old]
                self._filters.multiply(views[:count], target.reshape(count, self._new))

    def _emit(self, computed: Array) -> Array:
        """As much as belongs to the output even if the track ends here."""
        known = resampled_length(self._received, self._old, self._new) - self._emitted
        out = np.concatenate([self._held, computed], axis=1) if self._held.size else computed
        self._held = out[:, known:].copy()
        out = out[:, :known]
        self._emitted += out.shape[1]
        return out

    def _nothing(self) -> Array:
        return np.empty((self._channels, 0), self._dtype)


class _Filters:
    """The filter of every phase as a whole, (K, phases): one product for many windows."""

    def __init__(self, kernel: Array) -> None:
        self._kernel = kernel
        self.taps = len(kernel)

    def multiply(self, windows: Array, out: Array) -> None:
        """(N, K) -> (N, phases)."""
        np.matmul(np.ascontiguousarray(windows), self._kernel, out=out)


class _Bands:
    """What of every phase's filter is more than next to nothing, and where it starts."""

    def __init__(self, taps: int, starts: Array, bands: Array) -> None:
        self.taps = taps
        self._starts = starts
        self._bands = bands

    def multiply(self, windows: Array, out: Array) -> None:
        """(N, K) -> (N, phases)."""
        size = self._bands.shape[1]
        most = max(1, _WINDOW_NUMBERS // size)  # phases at a time
        for window, target in zip(windows, out, strict=True):
            views = np.lib.stride_tricks.sliding_window_view(window, size)
            for first in range(0, len(self._bands), most):
                part = slice(first, first + most)
                chosen = views[self._starts[part]]
                np.einsum("pk,pk->p", chosen, self._bands[part], out=target[part])


@lru_cache(maxsize=4)
def _filters(old_rate: int, new_rate: int, dtype: np.dtype[Any]) -> _Filters | _Bands:
    """The filters of two rates without a common divisor, shared by all who convert between them.

    Raises:
        AudioError: even its bands are too large.
    """
    from demucs_tf.layers.resample import sinc_bands, sinc_kernel, sinc_width

    width = sinc_width(old_rate, new_rate)
    taps = 2 * width + old_rate
    if taps * new_rate <= _KERNEL_NUMBERS:
        return _Filters(sinc_kernel(old_rate, new_rate).T.astype(dtype))
    if (2 * width + 96) * new_rate > _BAND_NUMBERS:
        raise AudioError(
            f"the ratio of {old_rate} to {new_rate} Hz needs a filter of "
            f"{(2 * width + 96) * new_rate:,} numbers, more than {_BAND_NUMBERS:,}. "
            "Convert the audio first, for example to 44100 Hz: ffmpeg -i in.wav -ar 44100 out.wav"
        )
    starts, bands = sinc_bands(old_rate, new_rate)
    return _Bands(taps, starts, bands.astype(dtype))


def resampled_length(length: int, old_rate: int, new_rate: int) -> int:
    """Samples that `length` of them become: floor(length new_rate / old_rate), nearly.

    It never falls when `length` grows.
    """
    # QUIRK julius/resample.py:137-139: the length passes through float32 before it is floored,
    # so that of more than 2**24 samples (6.3 minutes at 44.1 kHz) may be off by one or more, but
    # there are no more than the filter gives.
    common = math.gcd(old_rate, new_rate)
    old, new = old_rate // common, new_rate // common
    return min((length // old + 1) * new, math.floor(np.float32(new * length / old)))
