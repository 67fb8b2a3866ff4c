"""What the faults of `parity/faults/demucs.py` put in the place of the port's own code."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from demucs_tf.layers import conv, float32_math, recurrent, resample, shape

# The originals, taken before anything is replaced.
_conv_call = conv.Conv1d.call
_recur = recurrent._recur
_bidirectional = recurrent.LSTM._bidirectional
_step = recurrent.BLSTM.step
_pad_axis = shape.pad_axis
_resample_frac = resample.resample_frac
_sinc_kernel = resample.sinc_kernel


def with_attributes(method: Callable[..., Any], **attributes: Any) -> Callable[..., Any]:
    """`method`, with some attributes of its object set before each call."""

    @wraps(method)  # Keras reads the signature
    def changed(self: Any, *arguments: Any, **options: Any) -> Any:
        for name, value in attributes.items():
            object.__setattr__(self, name, value)
        return method(self, *arguments, **options)

    return changed


def groupnorm(
    variance: Callable[[Any, Any], Any] = lambda v, n: v,
    root: Callable[[Any, float], Any] = lambda v, e: tf.sqrt(v + tf.constant(e, v.dtype)),
) -> Callable[..., Any]:
    def call(self: Any, x: Any) -> Any:
        groups, size = self.num_groups, self.num_channels // self.num_groups
        grouped = tf.reshape(x, [x.shape[0], -1, groups, size])
        centred = grouped - tf.reduce_mean(grouped, [1, 3], keepdims=True)
        spread = tf.reduce_mean(centred**2, [1, 3], keepdims=True)
        grouped = centred / root(variance(spread, grouped.shape[1] * size), self.epsilon)
        return tf.reshape(grouped, x.shape) * self.weight + self.bias

    return call


def glu_swapped(self: Any, x: Any) -> Any:
    gate, value = tf.split(x, 2, axis=-1)
    return value * tf.sigmoid(gate)


def gelu_float32_constant(self: Any, x: Any) -> Any:
    return tf.nn.gelu(x, approximate=False)


def conv_without_bias(self: Any, x: Any) -> Any:
    return _conv_call(self, x) - self.bias


def conv_undilated(self: Any, x: Any) -> Any:
    if self.dilation == 1:
        return _conv_call(self, x)
    x = tf.pad(x, [[0, 0], [self.kernel_size // 2] * 2, [0, 0]])
    return tf.nn.conv1d(x, tf.convert_to_tensor(self.weight), self.stride, "VALID") + self.bias


def conv_causal(self: Any, x: Any) -> Any:
    if self.padding:
        x = tf.roll(x, self.padding, axis=1)
    return _conv_call(self, x)


def transposed_unflipped(self: Any, x: Any) -> Any:
    shape = [x.shape[0], (x.shape[1] - 1) * self.stride + self.kernel_size, self.out_channels]
    weight = tf.reverse(tf.convert_to_tensor(self.weight), [0])
    return tf.nn.conv1d_transpose(x, weight, shape, self.stride, "VALID") + self.bias


def swap(gates: Any, order: tuple[int, ...]) -> Any:
    parts = tf.split(gates, 4, axis=-1)
    return tf.concat([parts[index] for index in order], axis=-1)


def recur_gates(order: tuple[int, ...]) -> Callable[..., Any]:
    return lambda inputs, weight, units: _recur(swap(inputs, order), swap(weight, order), units)


def recur_forget_bias(inputs: Any, weight: Any, units: int) -> Any:
    one = tf.concat(
        [tf.fill([units], tf.constant(float(i == 1), inputs.dtype)) for i in range(4)], 0
    )
    return _recur(inputs + one, weight, units)


def recur_one_way(inputs: Any, weight: Any, units: int) -> Any:
    """Leaves the backward outputs in the order in which they were computed."""
    outputs, h, c = _recur(inputs, weight, units)
    return tf.stack([outputs[:, 0], tf.reverse(outputs[:, 1], [0])], 1), h, c


def lstm_double_bias(self: Any, x: Any, n: int) -> Any:
    for suffix in (f"l{n}", f"l{n}_reverse"):
        bias = getattr(self, f"bias_hh_{suffix}")
        bias.assign(2 * bias)
    try:
        return _bidirectional(self, x, n)
    finally:
        for suffix in (f"l{n}", f"l{n}_reverse"):
            bias = getattr(self, f"bias_hh_{suffix}")
            bias.assign(bias / 2)


def blstm_never_framed(self: Any, x: Any, width: int) -> Any:
    return self._whole(x)


def unframe_overlap_add(frames: Any, length: Any) -> Any:
    width = frames.shape[2]
    left = tf.pad(frames[:, :, : width // 2], [[0, 0], [0, 1], [0, 0], [0, 0]])
    right = tf.pad(frames[:, :, width // 2 :], [[0, 0], [1, 0], [0, 0], [0, 0]])
    row = (left + right) / 2
    return tf.reshape(row, [row.shape[0], -1, row.shape[3]])[:, :length]


def step_without(name: str) -> Callable[..., Any]:
    """`Observable.step` that returns the first input of the step `name` instead of running it."""

    def step(self: Any, step_name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        if step_name == name:
            return _step(self, name, lambda *tensors: tensors[0], *inputs)
        return _step(self, step_name, function, *inputs)

    return step


def scores_unscaled(self: Any, keys: Any, queries: Any) -> Any:
    return tf.einsum("bthc,bshc->bhst", keys, queries)


def penalty(own: float = -100.0, square_root: bool = True, half: float = 2.0) -> Callable[..., Any]:
    def penalise(self: Any, decays: Any, rates: Any, delta: Any, scores: Any) -> Any:
        mixed = tf.einsum("bshn,n->bhs", tf.sigmoid(decays) / half, rates)
        scale = self.ndecay**0.5 if square_root else self.ndecay
        scores = scores - mixed[..., None] * (tf.abs(delta) / tf.constant(scale, scores.dtype))
        if own == 0:
            return scores
        return tf.where(tf.equal(delta, 0), tf.constant(own, scores.dtype), scores)

    return penalise


def softmax_over_queries(scores: Any) -> Any:
    return tf.nn.softmax(scores, axis=2)


def attention_softmax(self: Any, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
    wrong = softmax_over_queries if name == "weights" else function
    return _step(self, name, wrong, *inputs)


def std_biased(x: Any) -> Any:
    return tf.math.reduce_std(x, -1, keepdims=True)


def normalize_inside_root(self: Any, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
    if name == "normalize":
        return _step(self, name, lambda x, mean, std: (x - mean) / tf.sqrt(std**2 + 1e-5), *inputs)
    return _step(self, name, function, *inputs)


def mono_first_channel(self: Any, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
    wrong = (lambda x: x[:, :1]) if name == "mono" else function
    return _step(self, name, wrong, *inputs)


def split_swapped(self: Any, x: Any) -> Any:
    channels_first = tf.reshape(x, [x.shape[0], self.audio_channels, -1, x.shape[-1]])
    return tf.transpose(channels_first, [0, 2, 1, 3])


def trim_from_the_right(x: Any, length: Any, axis: int) -> Any:
    delta = shape.size(x, axis) - length
    begin = [0] * len(x.shape)
    begin[axis] = (delta + 1) // 2
    extent = [-1] * len(x.shape)
    extent[axis] = length
    return tf.slice(x, begin, extent)


def trim_end(x: Any, length: Any, axis: int) -> Any:
    return tf.gather(x, tf.range(length), axis=axis)


def pad_right(x: Any, left: Any, right: Any, axis: int) -> Any:
    return _pad_axis(x, 0, left + right, axis)


def resample_linear(x: Any, old_sr: int, new_sr: int) -> Any:
    samples = np.asarray(x)
    count = samples.shape[-1] * new_sr // old_sr
    places = np.arange(count) * (old_sr / new_sr)
    known = np.arange(samples.shape[-1])
    rows = samples.reshape(-1, samples.shape[-1])
    lines = np.stack([np.interp(places, known, row) for row in rows])
    return tf.constant(lines.reshape(*samples.shape[:-1], count), x.dtype)


def resample_zero_edges(x: Any, old_sr: int, new_sr: int) -> Any:
    edge = 60 if old_sr == 1 else 120
    padded = _pad_axis(x, edge, edge, 2)
    y = _resample_frac(padded, old_sr, new_sr)
    start = edge * new_sr // old_sr
    return y[..., start : start + x.shape[-1] * new_sr // old_sr]


def kernel_symmetric_window(old_sr: int, new_sr: int) -> Any:
    kernel = _sinc_kernel(old_sr, new_sr)
    return (kernel * np.hanning(kernel.shape[1])).astype(np.float32)


def kernel_correctly_rounded(old_sr: int, new_sr: int) -> Any:
    """Sine and cosine rounded to the nearest float32, which torch's are not."""

    def rounded(function: Any) -> Any:
        return lambda x: function(x.astype(np.float64)).astype(np.float32)

    with mock.patch.multiple(float32_math, sin=rounded(np.sin), cos=rounded(np.cos)):
        return _sinc_kernel.__wrapped__(old_sr, new_sr)
