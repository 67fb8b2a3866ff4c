"""Convolution and transposed convolution, channels-last: over time, and over frequency and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import (
    BFTC,
    BTC,
    Layer,
    is_joined,
    is_joined_here,
    is_portable,
    once_there,
    uniform,
    with_gradient,
)
from demucs_tf.layers.linear import add_bias, as_type, product
from demucs_tf.layers.shape import ceil_div, lengths, pad_axis, parts, reshape, size
from demucs_tf.utils.processor import has_avx512

# TensorFlow's CPU convolutions add up their kernel_size * in_channels products one by one. PyTorch
# adds blockwise, and over 1,500 products its float32 error is a quarter of ours, and with trained
# weights a third over 512. Longer sums are cut into several convolutions over fewer channels, which
# takes no longer.
_LONGEST_SUM = 448

Activation = Callable[[Any], Any] | None


class Conv1d(Layer):
    """Convolution over time with torch's explicit, symmetric zero padding.

    Variables: weight (K, C, C'), bias (C').
    Shape: (B, T, C) -> (B, T', C'), T' = (T + 2 padding - dilation (K - 1) - 1) // stride + 1.

    Reference: torch.nn.Conv1d
    """

    factors = ("weight",)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels = in_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        fan_in = in_channels * kernel_size
        shape = (kernel_size, in_channels, out_channels)
        self.weight = self.variable("weight", shape, uniform(fan_in))
        self.bias = self.variable("bias", (out_channels,), uniform(fan_in))

    def call(self, x: BTC) -> BTC:
        return self.activated(x)

    def activated(self, x: BTC, activation: Activation = None) -> BTC:
        """Convolve, and apply an activation."""
        return self.part(x, once_there(x, self.weight), self.bias, activation)

    def part(self, x: BTC, weight: Any, bias: Any, activation: Activation = None) -> BTC:
        """The same with the part of both variables that belongs to some output channels."""
        taps, channels, width = weight.shape
        if self.kernel_size == 1 and self.stride == 1 and self.padding == 0:
            weight = reshape(weight, [channels, width])
            return product(x, weight, bias, activation)  # faster than a convolution
        dtype = x.dtype
        x, bias = as_type(x, weight.dtype), as_type(bias, weight.dtype)
        if activation and _pays(weight, self.stride) and not is_portable():
            x = pad_axis(x, self.padding, self.padding, axis=1)
            return as_type(_by_blocks(x, weight, bias, self.stride, activation), dtype)
        if self._shares_blocks(weight):
            x = pad_axis(x, self.padding, self.padding, axis=1)
            y = _by_shared_blocks(x, weight, bias, self.stride)
        elif self.stride == 1 and taps * width <= channels and not is_portable():
            y = self._to_few(x, weight, bias)
        else:
            if self.padding:
                x = pad_axis(x, self.padding, self.padding, axis=1)

            def convolve(x: Any, weight: Any) -> Any:
                return _convolve(x, weight, self.stride, self.dilation)

            y = _in_parts(convolve, x, weight, bias, taps)
        y = as_type(y, dtype)
        return y if activation is None else activation(y)

    def _shares_blocks(self, weight: Any) -> bool:
        half = self.kernel_size == 2 * self.stride and self.dilation == 1
        return half and is_joined_here() and weight.dtype != tf.bfloat16

    def _to_few(self, x: Any, weight: Any, bias: Any) -> Any:
        """Convolve to few channels."""
        taps, channels, _ = weight.shape
        keeps = 2 * self.padding == self.dilation * (taps - 1)
        convolves = keeps and taps * channels <= _LONGEST_SUM
        # Without AVX-512, oneDNN dilates in one thread.
        if not is_joined() or not convolves or (self.dilation > 1 and not has_avx512()):
            return add_bias(self._by_taps(x, weight), bias)

        def convolve(x: Any, weight: Any) -> Any:
            return tf.nn.conv1d(x, weight, 1, "SAME", dilations=self.dilation)

        return add_bias(_with_gradient_of(self._by_taps, convolve, x, weight), bias)

    def _by_taps(self, x: Any, weight: Any) -> Any:
        """A product for all taps at once, which are then moved apart."""
        taps, channels, width = weight.shape
        weight = reshape(tf.transpose(weight, [1, 0, 2]), [channels, taps * width])
        y = pad_axis(product(x, weight), self.padding, self.padding, axis=1)
        length = size(y, 1) - self.dilation * (taps - 1)
        starts = range(0, taps * self.dilation, self.dilation)
        pairs = zip(tf.split(y, taps, -1), starts, strict=True)
        return tf.add_n([each[:, start : start + length] for each, start in pairs])


def gated(conv: Conv1d | Conv2d, x: Any) -> Any:
    """Convolve, and apply a gated linear unit: both halves by themselves, which saves passes."""
    (weight, of_gate), (bias, gate_bias) = parts(once_there(x, conv.weight), 2), parts(conv.bias, 2)
    return conv.part(x, weight, bias) * conv.part(x, of_gate, gate_bias, tf.sigmoid)


# A product does its activation with it, a convolution does not. That pays for the copies which make
# a convolution one where the input is small beside the output.


def _pays(weight: Any, stride: int) -> bool:
    taps, channels, width = weight.shape
    return taps % stride == 0 and taps * channels <= width


def _by_blocks(x: Any, weight: Any, bias: Any, stride: int, activation: Any) -> Any:
    """Convolve along axis 1 by a product over blocks of `stride` steps: (B, L, ..., C)."""
    taps, channels, width = weight.shape
    count = (size(x, 1) - taps) // stride + 1
    span = taps // stride
    x = x[:, : (count + span - 1) * stride]
    blocks = reshape(x, [*lengths(x)[:1], count + span - 1, stride, *lengths(x)[2:]])
    if len(x.shape) == 4:
        blocks = tf.transpose(blocks, [0, 1, 3, 2, 4])
    blocks = reshape(blocks, [*lengths(blocks)[:-2], stride * channels])
    rows = tf.concat([blocks[:, start : start + count] for start in range(span)], -1)
    return product(rows, reshape(weight, [taps * channels, width]), bias, activation)


def _by_shared_blocks(x: Any, weight: Any, bias: Any, stride: int) -> Any:
    """Convolve along axis 1 over blocks of `stride` steps, each of which two outputs share.

    That is two products of rows that lie in `x` as they are: (B, L, C) -> (B, L', C').
    """
    taps, channels, width = weight.shape
    batch, count = size(x, 0), (size(x, 1) - taps) // stride + 1
    rows = reshape(x[:, : (count + 1) * stride], [-1, stride * channels])
    first, second = tf.unstack(reshape(weight, [2, stride * channels, width]))
    y = tf.add_n([add_bias(tf.matmul(rows[:-1], first), bias), tf.matmul(rows[1:], second)])
    # The last block of an item and the first of the next gave a row as well, but for the last item.
    between = min(batch - 1, 1) if isinstance(batch, int) else tf.minimum(batch - 1, 1)
    y = pad_axis(y, 0, between, axis=0)
    y = reshape(y, [batch, count + between, width])[:, :count]
    if isinstance(count, int):  # which TensorFlow has lost, if it does not know the batch
        y.set_shape([None, count, width])
    return y


def _in_parts(convolve: Callable[..., Any], x: Any, weight: Any, bias: Any, taps: int) -> Any:
    """Sum up convolutions over parts of the channels, each at most `_LONGEST_SUM` long."""
    channels = x.shape[-1]
    parts = min(channels, ceil_div(taps * channels, _LONGEST_SUM))
    # Other runtimes add up blockwise, and products in bfloat16 are less exact than any sum of them.
    if parts == 1 or x.dtype == tf.bfloat16 or is_portable():
        return add_bias(convolve(x, weight), bias)
    ends = [channels * index // parts for index in range(parts + 1)]
    widths = [stop - start for start, stop in pairwise(ends)]
    pairs = zip(tf.split(x, widths, -1), tf.split(weight, widths, -2), strict=True)
    first, *others = [convolve(*pair) for pair in pairs]
    return tf.add_n([add_bias(first, bias), *others])  # a convolution does its bias with it


def _convolve(x: Any, weight: Any, stride: int, dilation: int) -> Any:
    if dilation == 1:
        return tf.nn.conv1d(x, weight, stride, "VALID")

    def dilated(x: Any, weight: Any) -> Any:
        return tf.nn.conv1d(x, weight, stride, "VALID", dilations=dilation)

    def by_taps(x: Any, weight: Any) -> Any:
        return _convolve_by_taps(x, weight, stride, dilation)

    return _with_gradient_of(by_taps, dilated, x, weight)


def _with_gradient_of(other: Any, function: Any, x: Any, weight: Any) -> Any:
    """`function(x, weight)`, which TensorFlow has no gradient of on every CPU: `other` has one."""

    def gradient(upstream: Any, x: Any, weight: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, weight])
            y = other(x, weight)
        return tape.gradient(y, [x, weight], output_gradients=upstream)

    return with_gradient(function, gradient, x, weight)


def _convolve_by_taps(x: Any, weight: Any, stride: int, dilation: int) -> Any:
    """Convolve as a sum of products, one for each kernel tap."""
    taps = weight.shape[0]
    span = tf.shape(x)[1] - dilation * (taps - 1)
    rows = [x[:, k * dilation : k * dilation + span : stride] for k in range(taps)]
    return tf.add_n([product(row, weight[k]) for k, row in enumerate(rows)])


class _Transposed(Layer):
    """What transposed convolutions have in common: their arguments and variables.

    `_BESIDE` are the lengths of the kernel along the axes that are left alone.
    """

    factors = ("weight",)
    _BESIDE: tuple[int, ...] = ()

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        # torch takes the fan-in of a transposed convolution from its output channels.
        fan_in = out_channels * kernel_size
        shape = (kernel_size, *self._BESIDE, out_channels, in_channels)
        self.weight = self.variable("weight", shape, uniform(fan_in))
        self.bias = self.variable("bias", (out_channels,), uniform(fan_in))

    # It is a convolution with an output channel for each of `stride` phases, which then lie side by
    # side. LiteRT takes three to five times as long for a transposed one. Here a product does bias
    # and activation as well; where there is no activation, a convolution needs no copies of x.

    def _phases(self, x: Any, activation: Activation = None) -> Any:
        """Convolve over axis 1: (B, L, ..., C) -> (B, L + taps - 1, ..., stride C')."""
        taps = ceil_div(self.kernel_size, self.stride)
        weight, order = self._weight_of_phases(x, taps), range(taps)
        bias = tf.tile(tf.convert_to_tensor(self.bias), [self.stride])
        dtype = x.dtype
        x = as_type(x, weight.dtype)
        convolves = activation is None and is_joined() and taps * x.shape[-1] <= _LONGEST_SUM
        multiplies = not convolves and not is_portable()
        # The kernel runs backwards; products in graphs take it as it lies, which saves a pass.
        if not (multiplies and is_joined()):
            weight, order = tf.reverse(weight, [0]), order[::-1]
        if multiplies:
            moved = [pad_axis(x, tap, taps - 1 - tap, axis=1) for tap in order]
            weight = reshape(weight, [-1, weight.shape[2]])
            return as_type(product(tf.concat(moved, -1), weight, bias, activation), dtype)
        x = pad_axis(x, taps - 1, taps - 1, axis=1)
        if len(x.shape) == 3:
            y = tf.nn.conv1d(x, weight, 1, "VALID")
        else:
            y = tf.nn.conv2d(x, weight[:, None], 1, "VALID")
        plus = tf.add if is_portable() else add_bias
        y = as_type(plus(y, as_type(bias, weight.dtype)), dtype)
        return y if activation is None else activation(y)

    def _weight_of_phases(self, x: Any, taps: int) -> Any:
        """Sort the weight by phases: (taps, C, stride C')."""
        stride = self.stride
        weight = reshape(once_there(x, self.weight), [self.kernel_size, self.out_channels, -1])
        weight = pad_axis(weight, 0, taps * stride - self.kernel_size, axis=0)
        weight = reshape(weight, [taps, stride, self.out_channels, -1])
        weight = tf.transpose(weight, [0, 3, 1, 2])
        return reshape(weight, [taps, -1, stride * self.out_channels])


class ConvTranspose1d(_Transposed):
    """Transposed convolution over time, not cropped.

    Variables: weight (K, C', C), bias (C').
    Shape: (B, T, C) -> (B, T', C'), T' = (T - 1) stride + K.

    Reference: torch.nn.ConvTranspose1d
    """

    def call(self, x: BTC) -> BTC:
        return self.activated(x)

    def activated(self, x: BTC, activation: Activation = None) -> BTC:
        """Convolve, and apply an activation."""
        length = (size(x, 1) - 1) * self.stride + self.kernel_size
        y = self._phases(x, activation)  # (B, T + taps - 1, stride C')
        rows = [*lengths(y)[:1], size(y, 1) * self.stride, self.out_channels]
        return reshape(y, rows)[:, :length]


class Conv2d(Layer):
    """Convolution over frequency and time with torch's explicit, symmetric zero padding.

    `kernel_size`, `stride` and `padding` are pairs (frequency, time).

    Variables: weight (K_F, K_T, C, C'), bias (C').
    Shape: (B, F, T, C) -> (B, F', T', C'), each length L' = (L + 2 padding - K) // stride + 1.

    Reference: torch.nn.Conv2d
    """

    factors = ("weight",)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        stride: Sequence[int] = (1, 1),
        padding: Sequence[int] = (0, 0),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = tuple(kernel_size)
        self.stride = tuple(stride)
        self.padding = tuple(padding)
        fan_in = in_channels * kernel_size[0] * kernel_size[1]
        shape = (*self.kernel_size, in_channels, out_channels)
        self.weight = self.variable("weight", shape, uniform(fan_in))
        self.bias = self.variable("bias", (out_channels,), uniform(fan_in))

    def call(self, x: BFTC) -> BFTC:
        return self.activated(x)

    def activated(self, x: BFTC, activation: Activation = None) -> BFTC:
        """Convolve, and apply an activation."""
        return self.part(x, once_there(x, self.weight), self.bias, activation)

    def part(self, x: BFTC, weight: Any, bias: Any, activation: Activation = None) -> BFTC:
        """The same with the part of both variables that belongs to some output channels."""
        if self.kernel_size == self.stride == (1, 1) and self.padding == (0, 0):
            return product(x, reshape(weight, [*weight.shape[2:]]), bias, activation)
        dtype = x.dtype
        x, bias = as_type(x, weight.dtype), as_type(bias, weight.dtype)
        if activation and self._along_frequency() and _pays(weight[:, 0], self.stride[0]):
            x = pad_axis(x, self.padding[0], self.padding[0], axis=1)
            return as_type(_by_blocks(x, weight[:, 0], bias, self.stride[0], activation), dtype)
        padding: Any = "VALID"
        if self.stride == (1, 1) and self.kernel_size == tuple(2 * p + 1 for p in self.padding):
            padding = "SAME"
        else:
            for axis, each in zip((1, 2), self.padding, strict=True):
                if each:
                    x = pad_axis(x, each, each, axis)
        y = _in_parts(
            lambda x, w: tf.nn.conv2d(x, w, self.stride, padding),
            x,
            weight,
            bias,
            self.kernel_size[0] * self.kernel_size[1],
        )
        y = as_type(y, dtype)
        return y if activation is None else activation(y)

    def _along_frequency(self) -> bool:
        sizes = self.kernel_size[1], self.stride[1], self.padding[1]
        return sizes == (1, 1, 0) and not is_portable()


class ConvTranspose2d(_Transposed):
    """Transposed convolution over frequency, not cropped; time is left alone.

    Variables: weight (K, 1, C', C), bias (C').
    Shape: (B, F, T, C) -> (B, (F - 1) stride + K, T, C').

    Reference: torch.nn.ConvTranspose2d with a kernel (K, 1) and a stride (stride, 1)
    """

    _BESIDE = (1,)

    def call(self, x: BFTC) -> BFTC:
        return self.activated(x)

    def activated(self, x: BFTC, activation: Activation = None) -> BFTC:
        """Convolve, and apply an activation."""
        freqs = (x.shape[1] - 1) * self.stride + self.kernel_size
        y = self._phases(x, activation)  # (B, F + taps - 1, T, stride C')
        rows, frames, channels = y.shape[1], size(y, 2), self.out_channels
        phases = reshape(y, [-1, frames, self.stride, channels])
        phases = tf.transpose(phases, [0, 2, 1, 3])
        shape = [*lengths(y)[:1], rows * self.stride, frames, channels]
        return reshape(phases, shape)[:, :freqs]
