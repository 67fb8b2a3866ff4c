"""GroupNorm, LayerNorm and LayerScale."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import Identity, Layer
from demucs_tf.layers.reduce import mean_float64
from demucs_tf.layers.shape import lengths


class GroupNorm(Layer):
    """Normalise each group of channels over all of its positions, then scale and shift.

    Args:
        num_groups: how many groups of neighbouring channels share a mean and a variance.
        num_channels: C; a multiple of `num_groups`.
        epsilon: added to the (biased) variance inside the root. The reference's is 1e-5.

    Variables: weight (C), bias (C).
    Shape: (B, ..., C) -> (B, ..., C).

    Raises:
        ValueError: `num_channels` is not a multiple of `num_groups`.

    Reference: torch.nn.GroupNorm
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
        """(B, ..., C) -> (B, ..., C)."""
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
    """(B, ..., G, C / G) -> (B, 1, ..., G, 1) in float64; channels are few, positions are many."""
    *_, groups, width = grouped.shape
    mean = mean_float64(tf.reduce_sum(grouped, -1)) / width
    return tf.reshape(mean, [-1, *[1] * (len(grouped.shape) - 3), groups, 1])


def norm_or_identity(norm: bool, num_groups: int, num_channels: int, dtype: str) -> Layer:
    """A GroupNorm with the reference's epsilon, or nothing."""
    if not norm:
        return Identity(dtype=dtype)
    return GroupNorm(num_groups, num_channels, epsilon=1e-5, dtype=dtype)


class LayerNorm(Layer):
    """Normalise every position over its channels, then scale and shift.

    Args:
        num_channels: C.
        epsilon: added to the (biased) variance inside the root. The reference's is 1e-5.

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
        """(..., C) -> (..., C)."""
        centred = x - tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
        scale = tf.math.rsqrt(variance + tf.constant(self.epsilon, x.dtype))
        return centred * scale * self.weight + self.bias


class LayerScale(Layer):
    """A learnt factor for each channel, small at the start of training.

    Variables: scale (C).
    Shape: (..., C) -> (..., C).

    Reference: demucs/transformer.py::LayerScale
    """

    def __init__(self, channels: int, init: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = self.variable("scale", (channels,), init)

    def call(self, x: Any) -> Any:
        """(..., C) -> (..., C)."""
        return self.scale * x
