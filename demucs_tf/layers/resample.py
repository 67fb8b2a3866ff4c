"""Julius's sinc resampling: the filter built with NumPy, applied by a strided convolution."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.layers import float32_math

Float32 = npt.NDArray[np.float32]
_AT_ONCE = 1 << 19  # numbers of a large filter that are computed together


@lru_cache(maxsize=16)
def sinc_kernel(old_sr: int, new_sr: int, zeros: int = 24, rolloff: float = 0.945) -> Float32:
    """Make the filters of every output phase, for rates without a common divisor.

    Args:
        old_sr: input rate, in any unit.
        new_sr: output rate, in the same unit.
        zeros: zero crossings kept on either side.
        rolloff: cut-off, as a share of the lower of both Nyquist rates.

    Returns:
        float32 (new_sr, 2 width + old_sr), width = ceil(zeros old_sr / (min(rates) rolloff));
        every row sums to one. Read-only.

    Reference: julius/resample.py::ResampleFrac._init_kernels (julius 0.2.8)
    """
    width = sinc_width(old_sr, new_sr, zeros, rolloff)
    index = np.arange(-width, width + old_sr)
    kernel = _sinc(np.arange(new_sr)[:, None], index, (old_sr, new_sr), zeros, rolloff)
    kernel /= _row_sums(kernel)[:, None]
    kernel.flags.writeable = False
    return kernel


@lru_cache(maxsize=16)
def sinc_bands(
    old_sr: int, new_sr: int, zeros: int = 24, rolloff: float = 0.945
) -> tuple[npt.NDArray[np.int64], Float32]:
    """Make those filters without what is next to zero, for rates whose whole kernel is too large.

    A filter has `zeros` crossings on either side of its phase; the rest of its row, nearly all of
    it where the rates have no common divisor, is below 1e-20.

    Returns:
        The first column of every row, int64 (new_sr,), and from there on the numbers that
        `sinc_kernel` has, bit by bit, float32 (new_sr, K). Read-only.
    """
    width = sinc_width(old_sr, new_sr, zeros, rolloff)
    columns = 2 * width + old_sr
    # Torch's order of summation goes by the column modulo 32, and has an order of its own for the
    # last columns: bands start at a multiple of 32, and end as the row does.
    least = 2 * width + 2 + 2 * 31
    size = min(columns, least + (columns - least) % 32)
    starts = np.minimum(np.arange(new_sr) * old_sr // new_sr // 32 * 32, columns - size)
    bands = np.empty((new_sr, size), np.float32)
    step = max(1, _AT_ONCE // size)
    for first in range(0, new_sr, step):
        phases = np.arange(first, min(first + step, new_sr))[:, None]
        index = starts[phases] + np.arange(-width, size - width)
        rows = _sinc(phases, index, (old_sr, new_sr), zeros, rolloff)
        bands[first : first + len(rows)] = rows / _row_sums(rows)[:, None]
    bands.flags.writeable = False
    return starts, bands


def sinc_width(old_sr: int, new_sr: int, zeros: int = 24, rolloff: float = 0.945) -> int:
    """Return the samples of the input that a filter reaches to either side of its own."""
    return math.ceil(zeros * old_sr / (min(old_sr, new_sr) * rolloff))


def _sinc(
    phases: npt.NDArray[np.int64],
    index: npt.NDArray[np.int64],
    rates: tuple[int, int],
    zeros: int,
    rolloff: float,
) -> Float32:
    """Evaluate the windowed sinc at the samples `index` of an output sample's phase."""
    # QUIRK julius/resample.py:101-112: float32 even for float64 audio, so its last bits are heard.
    one = np.float32
    old_sr, new_sr = rates
    phase = (-phases / new_sr).astype(one)
    t = (phase + index.astype(one) / one(old_sr)) * one(min(rates) * rolloff)
    t = np.clip(t, one(-zeros), one(zeros)) * one(math.pi)
    window = float32_math.cos(t / one(zeros) / one(2)) ** 2
    return np.divide(float32_math.sin(t), t, out=np.ones_like(t), where=t != 0) * window


def _row_sums(rows: Float32) -> Float32:
    """Sum float32 rows in torch's order: four accumulators of eight lanes, then lane by lane."""
    lanes, accumulators = 8, 4
    count = rows.shape[1] // lanes
    vectors = rows[:, : count * lanes].reshape(-1, count, lanes)
    whole = count - count % accumulators
    partial = np.zeros((len(rows), accumulators, lanes), np.float32)
    for start in range(0, whole, accumulators):
        partial += vectors[:, start : start + accumulators]
    total = partial[:, 0]
    for vector in range(whole, count):
        total = total + vectors[:, vector]
    for accumulator in range(1, accumulators):
        total = total + partial[:, accumulator]
    result = np.zeros(len(rows), np.float32)
    for column in range(count * lanes, rows.shape[1]):
        result += rows[:, column]
    for lane in range(lanes):
        result += total[:, lane]
    return result


def resample_frac(x: Any, old_sr: int, new_sr: int) -> Any:
    """Resample the last axis of a tensor, repeating its first and last sample beyond its ends.

    Shape: (B, A, T) -> (B, A, T'), T' = floor(T new_sr / old_sr). float32 or float64.
    QUIRK julius/resample.py:137-139: T' goes through float32, so above 2^24 samples it is rounded.

    Reference: julius/resample.py::resample_frac
    """
    import tensorflow as tf

    from demucs_tf.layers.base import is_joined_here, is_portable
    from demucs_tf.layers.shape import lengths, reshape, size

    common = math.gcd(old_sr, new_sr)
    old_sr, new_sr = old_sr // common, new_sr // common
    kernel = sinc_kernel(old_sr, new_sr)
    width = (kernel.shape[1] - old_sr) // 2
    rows = reshape(x, [-1, size(x, 2)] if x.shape[0] is None else [math.prod(x.shape[:2]), -1])
    # Products with ones, because not every runtime can repeat.
    before = rows[:, :1] * tf.ones([1, width], x.dtype)
    after = rows[:, -1:] * tf.ones([1, width + old_sr], x.dtype)
    rows = tf.concat([before, rows, after], axis=1)
    if is_joined_here():
        phases = _from_blocks(rows, kernel, old_sr)
    else:
        weight = tf.constant(kernel.T[:, None, :], x.dtype)  # (K, 1, phases)
        phases = tf.nn.conv1d(rows[..., None], weight, old_sr, "VALID")
    y = reshape(phases, [*lengths(x)[:2], size(phases, 1) * new_sr])
    if x.shape[-1] is not None:
        length = int(np.float32(new_sr * x.shape[-1] / old_sr))
        return tf.ensure_shape(y[..., :length], [*x.shape[:-1], length])
    if is_portable():  # whole numbers: there is no float64
        return y[..., : tf.shape(x)[-1] * new_sr // old_sr]
    exact = tf.cast(tf.shape(x)[-1], tf.float64) * new_sr / old_sr
    return y[..., : tf.cast(tf.cast(exact, tf.float32), tf.int32)]


_BLOCK = 64  # output samples of each phase, at least


def _from_blocks(rows: Any, kernel: Float32, stride: int) -> Any:
    """Convolve as `tf.nn.conv1d` does: (B, T) -> (B, F, phases), with some frames too many.

    From one channel it would take each number by itself; from blocks of samples as channels it is a
    product of matrices, of which two fifths are not zero.
    """
    import tensorflow as tf

    from demucs_tf.layers.shape import ceil_div, pad_axis, reshape, size

    phases, taps = kernel.shape
    frames = max(_BLOCK, ceil_div(taps, stride))  # of a block, which reach into the next one
    block = frames * stride
    matrix = np.zeros((2 * block, frames, phases), kernel.dtype)
    for frame in range(frames):
        matrix[frame * stride : frame * stride + taps, frame] = kernel.T
    weight = tf.constant(matrix.reshape(2, block, frames * phases), rows.dtype)
    count = ceil_div((size(rows, 1) - taps) // stride + 1, frames)
    rows = pad_axis(rows, 0, (count + 1) * block - size(rows, 1), axis=1)
    y = tf.nn.conv1d(reshape(rows, [size(rows, 0), -1, block]), weight, 1, "VALID")
    return reshape(y, [size(rows, 0), -1, phases])
