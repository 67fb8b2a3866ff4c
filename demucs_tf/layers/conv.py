"""Convolution and transposed convolution over time, channels-last."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import Layer, uniform
from demucs_tf.layers.shape import pad_axis

# TensorFlow's CPU convolutions add up their kernel_size * in_channels products one by one. PyTorch
# adds blockwise, and over 1,500 products its float32 error is a quarter of ours. Longer sums are
# cut into several convolutions over fewer channels, which takes no longer.
_LONGEST_SUM = 512


class Conv1d(Layer):
    """Convolution over time with torch's explicit, symmetric zero padding.

    Variables: weight (K, C, C'), bias (C').
    Shape: (B, T, C) -> (B, T', C'), T' = (T + 2 padding - dilation (K - 1) - 1) // stride + 1.

    Reference: torch.nn.Conv1d
    """

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

    def call(self, x: Any) -> Any:
        """(B, T, C) -> (B, T', C')."""
        weight = tf.convert_to_tensor(self.weight)
        if self.kernel_size == 1 and self.stride == 1 and self.padding == 0:
            return tf.matmul(x, weight[0]) + self.bias  # a product is faster than a convolution
        if self.padding:
            x = pad_axis(x, self.padding, self.padding, axis=1)
        sizes = _sizes(self.in_channels, self.kernel_size)
        y = self.bias
        for channels, w in zip(tf.split(x, sizes, 2), tf.split(weight, sizes, 1), strict=True):
            y += _convolve(channels, w, self.stride, self.dilation)
        return y


def _sizes(channels: int, kernel_size: int) -> list[int]:
    """Cut `channels` into nearly equal parts whose sums are at most `_LONGEST_SUM` long."""
    parts = min(channels, -(-kernel_size * channels // _LONGEST_SUM))
    return [channels // parts + (index < channels % parts) for index in range(parts)]


def _convolve(x: Any, weight: Any, stride: int, dilation: int) -> Any:
    if dilation == 1:
        return tf.nn.conv1d(x, weight, stride, "VALID")

    @tf.custom_gradient
    def dilated(x: Any, weight: Any) -> Any:
        """TensorFlow has no gradient of its own for dilated convolutions on every CPU."""
        y = tf.nn.conv1d(x, weight, stride, "VALID", dilations=dilation)

        def gradient(upstream: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([x, weight])
                taps = _convolve_by_taps(x, weight, stride, dilation)
            return tape.gradient(taps, [x, weight], output_gradients=upstream)

        return y, gradient

    return dilated(x, weight)


def _convolve_by_taps(x: Any, weight: Any, stride: int, dilation: int) -> Any:
    """The same as a sum of products, one for each kernel tap."""
    taps = weight.shape[0]
    span = tf.shape(x)[1] - dilation * (taps - 1)
    rows = [x[:, k * dilation : k * dilation + span : stride] for k in range(taps)]
    return tf.add_n([tf.matmul(row, weight[k]) for k, row in enumerate(rows)])


class ConvTranspose1d(Layer):
    """Transposed convolution over time, not cropped.

    Variables: weight (K, C', C), bias (C').
    Shape: (B, T, C) -> (B, T', C'), T' = (T - 1) stride + K.

    Reference: torch.nn.ConvTranspose1d
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        # torch takes the fan-in of a transposed convolution from its output channels.
        fan_in = out_channels * kernel_size
        shape = (kernel_size, out_channels, in_channels)
        self.weight = self.variable("weight", shape, uniform(fan_in))
        self.bias = self.variable("bias", (out_channels,), uniform(fan_in))

    def call(self, x: Any) -> Any:
        """(B, T, C) -> (B, (T - 1) stride + K, C')."""
        shape = tf.shape(x)
        length = (shape[1] - 1) * self.stride + self.kernel_size
        y = tf.nn.conv1d_transpose(
            x,
            tf.convert_to_tensor(self.weight),
            tf.stack([shape[0], length, self.out_channels]),
            self.stride,
            "VALID",
        )
        return y + self.bias
