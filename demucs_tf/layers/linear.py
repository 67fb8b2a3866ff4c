"""The affine map over the last axis."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import Layer, uniform


class Linear(Layer):
    """`x W + b`.

    Variables: weight (C, C'), bias (C').
    Shape: (..., C) -> (..., C').

    Reference: torch.nn.Linear
    """

    def __init__(self, in_features: int, out_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = self.variable("weight", (in_features, out_features), uniform(in_features))
        self.bias = self.variable("bias", (out_features,), uniform(in_features))

    def call(self, x: Any) -> Any:
        """(..., C) -> (..., C')."""
        return tf.matmul(x, self.weight) + self.bias
