"""Convolution and transposed convolution over time, channels-last."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import Layer, uniform

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
            x = tf.pad(x, [[0, 0], [self.padding, self.padding], [0, 0]])
        parts = _parts(x.shape[2], self.kernel_size)
        partial = [
            tf.nn.conv1d(channels, w, self.stride, "VALID", dilations=self.dilation)
            for channels, w in zip(
                tf.split(x, parts, axis=2), tf.split(weight, parts, axis=1), strict=True
            )
        ]
        return tf.add_n([*partial[:-1], partial[-1] + self.bias])


def _parts(channels: int, kernel_size: int) -> int:
    """The smallest number of equal parts whose sums are at most `_LONGEST_SUM` long."""
    return next(
        parts
        for parts in range(1, channels + 1)
        if channels % parts == 0
        and (kernel_size * channels // parts <= _LONGEST_SUM or parts == channels)
    )


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
