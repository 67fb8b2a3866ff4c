"""The affine map over the last axis."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import Layer, fan_in_uniform


class Linear(Layer):
    """`x W + b`.

    Variables: weight (C, C'), bias (C').
    Shape: (..., C) -> (..., C').

    Reference: torch.nn.Linear
    """

    def __init__(self, in_features: int, out_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        init = fan_in_uniform(in_features)
        self.weight = self.variable("weight", (in_features, out_features), init)
        self.bias = self.variable("bias", (out_features,), init)

    def call(self, x: Any) -> Any:
        """(..., C) -> (..., C')."""
        return tf.matmul(x, self.weight) + self.bias
