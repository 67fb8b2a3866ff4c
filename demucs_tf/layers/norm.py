"""Means and deviations that keep their digits, and the norms that are made of them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import Identity, Layer
from demucs_tf.layers.shape import lengths


def mean_float64(x: Any) -> Any:
    """Average over all axes but the first and the last, in float64.

    TensorFlow adds up the innermost axis in blocks, but any other one number after the other: over
    the positions of one song that costs float32 four of its seven digits, and float64 a few of the
    last. So the last axis, which is short, changes places.

    Shape: (B, ..., G) -> (B, G), float64.
    """
    last = len(x.shape) - 1
    positions = range(1, last)
    turned = tf.transpose(tf.cast(x, tf.float64), [0, last, *positions])
    return tf.reduce_mean(turned, [axis + 1 for axis in positions])


# Both statistics in float64: the mean of music is next to zero, and what float32 loses there to
# cancellation would be all of its digits.


def mean(x: Any) -> Any:
    """Average each batch item: (B, ...) -> (B, 1, ...)."""
    return tf.cast(_wide_mean(x), x.dtype)


def unbiased_std(x: Any) -> Any:
    """Work out each batch item's standard deviation, over n - 1: (B, ...) -> (B, 1, ...).

    Reference: torch.std
    """
    deviation = tf.square(tf.cast(x, tf.float64) - _wide_mean(x))
    count = _items(x)
    return tf.cast(tf.sqrt(_wide_mean(deviation) * (count / (count - 1))), x.dtype)


def _wide_mean(x: Any) -> Any:
    return tf.reshape(mean_float64(x[..., None]), [-1, *[1] * (len(x.shape) - 1)])


def _items(x: Any) -> Any:
    return tf.cast(tf.reduce_prod(tf.shape(x)[1:]), tf.float64)


class GroupNorm(Layer):
    """Normalise each group of channels over all of its positions, then scale and shift.

    Args:
        num_groups: how many groups of neighbouring channels share a mean and a variance.
        num_channels: C; a multiple of `num_groups`.
        epsilon: added to the (biased) variance inside the root. torch's is 1e-5.

    Variables: weight (C), bias (C).
    Shape: (B, ..., C) -> (B, ..., C).

    Raises:
        ValueError: `num_channels` is not a multiple of `num_groups`.

    Reference: torch.nn.GroupNorm, demucs/transformer.py::MyGroupNorm
    """

    def __init__(self, num_groups: int, num_channels: int, epsilon: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm needs num_channels divisible by num_groups, got {num_channels} "
                f"channels in {num_groups} groups: change norm_groups or channels."
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.epsilon = epsilon
        self.weight = self.variable("weight", (num_channels,), 1)
        self.bias = self.variable("bias", (num_channels,), 0)

    def call(self, x: Any) -> Any:
        groups, width = self.num_groups, self.num_channels // self.num_groups
        grouped = tf.reshape(x, [*lengths(x)[:-1], groups, width])  # (B, ..., G, C / G)
        mean = _group_mean(grouped)
        # What float32 cuts off the mean would be divided by sqrt(epsilon) in a group that is
        # nearly constant, so it goes into the shift.
        high = tf.cast(mean, x.dtype)
        low = tf.cast(mean - tf.cast(high, tf.float64), x.dtype)
        centred = grouped - high
        variance = tf.cast(_group_mean(tf.square(centred)), x.dtype)
        weight = tf.reshape(self.weight, [groups, width])
        scale = weight / tf.sqrt(variance + tf.constant(self.epsilon, x.dtype))
        shift = tf.reshape(self.bias, [groups, width]) - low * scale
        return tf.reshape(centred * scale + shift, lengths(x))


def _group_mean(grouped: Any) -> Any:
    """Average each group, in float64: (B, ..., G, C / G) -> (B, 1, ..., G, 1)."""
    *_, groups, width = grouped.shape  # channels are few, positions are many
    mean = mean_float64(tf.reduce_sum(grouped, -1)) / width
    return tf.reshape(mean, [-1, *[1] * (len(grouped.shape) - 3), groups, 1])


def norm_or_identity(norm: bool, num_groups: int, num_channels: int, dtype: str) -> Layer:
    """Make a GroupNorm with torch's epsilon, or nothing."""
    if not norm:
        return Identity(dtype=dtype)
    return GroupNorm(num_groups, num_channels, epsilon=1e-5, dtype=dtype)


class LayerNorm(Layer):
    """Normalise every position over its channels, then scale and shift.

    Args:
        num_channels: C.
        epsilon: added to the (biased) variance inside the root. torch's is 1e-5.

    Variables: weight (C), bias (C).
    Shape: (..., C) -> (..., C).

    Reference: torch.nn.LayerNorm
    """

    def __init__(self, num_channels: int, epsilon: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.weight = self.variable("weight", (num_channels,), 1)
        self.bias = self.variable("bias", (num_channels,), 0)

    def call(self, x: Any) -> Any:
        centred = x - tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
        scale = tf.math.rsqrt(variance + tf.constant(self.epsilon, x.dtype))
        return centred * scale * self.weight + self.bias
