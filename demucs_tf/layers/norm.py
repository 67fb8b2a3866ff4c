"""GroupNorm and LayerScale."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import Layer


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
        shape = tf.shape(x)
        grouped = tf.reshape(
            x, [shape[0], -1, self.num_groups, self.num_channels // self.num_groups]
        )
        mean, variance = tf.nn.moments(grouped, [1, 3], keepdims=True)  # (B, 1, G, 1)
        grouped = (grouped - mean) / tf.sqrt(variance + tf.constant(self.epsilon, x.dtype))
        return tf.reshape(grouped, shape) * self.weight + self.bias


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
