"""Faults of the time-domain model: level, lengths, skips, resampling."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from demucs_tf.layers import float32_math, resample, shape
from demucs_tf.models import demucs
from demucs_tf.models.demucs import DemucsTF
from parity.core.mutate import Faults
from parity.faults.change import in_step, inside_root, without_step

fault = Faults()
_PLAIN, _UPSAMPLE = "demucs-dconv0", "^:upsample Demucs$"
_STEP, _KERNEL = (DemucsTF, "step"), (resample, "sinc_kernel")
_TRIM, _RESAMPLE = (demucs, "center_trim"), (demucs, "resample_frac")
# The originals, before anything is replaced.
_pad_axis = shape.pad_axis
_resample_frac, _sinc_kernel = resample.resample_frac, resample.sinc_kernel
fault("std-biased", _PLAIN, "^:std Demucs$", replaces=(demucs, "unbiased_std"))(
    lambda x: tf.math.reduce_std(x, -1, keepdims=True)
)
fault("normalize-epsilon-inside-root", _PLAIN, "^:normalize Demucs$", replaces=_STEP)(
    in_step("normalize")(inside_root)
)
fault("denormalize-left-out", _PLAIN, "^:denormalize Demucs$", replaces=_STEP)(
    without_step("denormalize")
)
fault("mono-first-channel", _PLAIN, "^:mono Demucs$", replaces=_STEP)(
    in_step("mono")(lambda x: x[:, :1])
)
fault("pad-on-the-right", _PLAIN, "^:pad Demucs$", replaces=(demucs, "pad_axis"))(
    lambda x, left, right, axis: _pad_axis(x, 0, left + right, axis)
)


@fault("trim-off-by-one", _PLAIN, "^:trim Demucs$", replaces=_TRIM)
def trim_from_the_right(x: Any, length: Any, axis: int) -> Any:
    begin, extent = [0] * len(x.shape), [-1] * len(x.shape)
    begin[axis] = (shape.size(x, axis) - length + 1) // 2
    extent[axis] = length
    return tf.slice(x, begin, extent)


fault("trim-at-the-end", _PLAIN, "^:trim Demucs$", replaces=_TRIM)(
    lambda x, length, axis: tf.gather(x, tf.range(length), axis=axis)
)
fault("skip-dropped", _PLAIN, "^:skip Demucs$", replaces=_STEP)(without_step("skip"))


@fault("sources-and-channels-swapped", _PLAIN, "^:split Demucs$", replaces=(DemucsTF, "_split"))
def split_with_channels_first(self: Any, x: Any) -> Any:
    channels_first = tf.reshape(x, [x.shape[0], self.audio_channels, -1, x.shape[-1]])
    return tf.transpose(channels_first, [0, 2, 1, 3])


# Resampling


@fault("resample-linear", _PLAIN, _UPSAMPLE, replaces=_RESAMPLE)
def resample_linear(x: Any, old_sr: int, new_sr: int) -> Any:
    samples = np.asarray(x)
    count = samples.shape[-1] * new_sr // old_sr
    places = np.arange(count) * (old_sr / new_sr)
    known = np.arange(samples.shape[-1])
    rows = samples.reshape(-1, samples.shape[-1])
    lines = np.stack([np.interp(places, known, row) for row in rows])
    return tf.constant(lines.reshape(*samples.shape[:-1], count), x.dtype)


@fault("resample-zero-edges", "demucs-no-glu", _UPSAMPLE, replaces=_RESAMPLE)
def resample_with_zero_edges(x: Any, old_sr: int, new_sr: int) -> Any:
    edge = 60 if old_sr == 1 else 120
    y = _resample_frac(_pad_axis(x, edge, edge, 2), old_sr, new_sr)
    start = edge * new_sr // old_sr
    return y[..., start : start + x.shape[-1] * new_sr // old_sr]


@fault("resample-other-window", _PLAIN, _UPSAMPLE, replaces=_KERNEL)
def kernel_with_symmetric_window(old_sr: int, new_sr: int) -> Any:
    kernel = _sinc_kernel(old_sr, new_sr)
    return (kernel * np.hanning(kernel.shape[1])).astype(np.float32)


@fault(
    "resample-kernel-correctly-rounded", _PLAIN, _UPSAMPLE, replaces=_KERNEL, beyond_float32=True
)
def kernel_correctly_rounded(old_sr: int, new_sr: int) -> Any:
    """Sine and cosine rounded to the nearest float32, which torch's are not."""

    def rounded(function: Any) -> Any:
        return lambda x: function(x.astype(np.float64)).astype(np.float32)

    with mock.patch.multiple(float32_math, sin=rounded(np.sin), cos=rounded(np.cos)):
        return _sinc_kernel.__wrapped__(old_sr, new_sr)
