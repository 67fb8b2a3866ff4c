"""Julius's sinc resampling: the filter built with NumPy, applied by a strided convolution."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.layers import float32_math

Float32 = npt.NDArray[np.float32]


@lru_cache(maxsize=16)
def sinc_kernel(old_sr: int, new_sr: int, zeros: int = 24, rolloff: float = 0.945) -> Float32:
    """The filters of every output phase, for rates without a common divisor.

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
    # QUIRK julius/resample.py:101-112: float32 even for float64 audio, so its last bits are heard.
    one = np.float32
    rate = min(old_sr, new_sr) * rolloff
    width = math.ceil(zeros * old_sr / rate)
    index = np.arange(-width, width + old_sr, dtype=one)
    phase = np.array([-i / new_sr for i in range(new_sr)], dtype=one)[:, None]
    t = (phase + index / one(old_sr)) * one(rate)
    t = np.clip(t, one(-zeros), one(zeros)) * one(math.pi)
    window = float32_math.cos(t / one(zeros) / one(2)) ** 2
    kernel = np.divide(float32_math.sin(t), t, out=np.ones_like(t), where=t != 0) * window
    kernel /= _row_sums(kernel)[:, None]
    kernel.flags.writeable = False
    return kernel


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

    common = math.gcd(old_sr, new_sr)
    old_sr, new_sr = old_sr // common, new_sr // common
    kernel = sinc_kernel(old_sr, new_sr)
    width = (kernel.shape[1] - old_sr) // 2
    shape = tf.shape(x)
    rows = tf.reshape(x, [-1, shape[-1]])
    before = tf.repeat(rows[:, :1], width, axis=1)
    after = tf.repeat(rows[:, -1:], width + old_sr, axis=1)
    rows = tf.concat([before, rows, after], axis=1)
    weight = tf.constant(kernel.T[:, None, :], x.dtype)  # (K, 1, phases)
    phases = tf.nn.conv1d(rows[..., None], weight, old_sr, "VALID")
    y = tf.reshape(phases, [shape[0], shape[1], -1])
    if x.shape[-1] is not None:
        length = int(np.float32(new_sr * x.shape[-1] / old_sr))
        return tf.ensure_shape(y[..., :length], [*x.shape[:-1], length])
    exact = tf.cast(shape[-1], tf.float64) * new_sr / old_sr
    return y[..., : tf.cast(tf.cast(exact, tf.float32), tf.int32)]
