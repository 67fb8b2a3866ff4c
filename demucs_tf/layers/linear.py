"""Linear, which multiplies by a matrix, and Embedding, which picks rows of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import Layer, is_portable, normal, uniform
from demucs_tf.layers.shape import lengths


class Linear(Layer):
    """Affine map over the last axis, `x W + b`.

    Variables: weight (C, C'), bias (C').
    Shape: (..., C) -> (..., C').

    Reference: torch.nn.Linear
    """

    def __init__(self, in_features: int, out_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = self.variable("weight", (in_features, out_features), uniform(in_features))
        self.bias = self.variable("bias", (out_features,), uniform(in_features))

    def call(self, x: Any) -> Any:
        return product(x, self.weight, self.bias)


class Embedding(Layer):
    """A learnt vector for each index.

    Variables: weight (N, D).
    Shape: integers (...) -> (..., D).

    Reference: torch.nn.Embedding
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = self.variable("weight", (num_embeddings, embedding_dim), normal)

    def call(self, index: Any) -> Any:
        return tf.gather(self.weight, index)


def product(
    x: Any, weight: Any, bias: Any = None, activation: Callable[..., Any] | None = None
) -> Any:
    """Multiply over the last axis, and add a bias: (..., C), (C, C'), (C') -> (..., C').

    It multiplies two matrices, because TensorFlow's broadcasting product of (2, 1, 32, 32) and
    (32, 64) writes beyond its memory (2.21 with oneDNN, on x86). A bias and an activation directly
    behind the product are worked out with it, before its result leaves the cache.
    """
    weight = tf.convert_to_tensor(weight)
    rows = tf.matmul(tf.reshape(x, [-1, weight.shape[0]]), weight)
    shape = [*lengths(x)[:-1], weight.shape[1]]
    if is_portable():  # ONNX's converter loses one of two shapes with nothing in between
        rows = tf.reshape(rows, shape)
    if bias is not None:
        rows = tf.nn.bias_add(rows, bias)
    if activation is not None:
        rows = activation(rows)
    return rows if is_portable() else tf.reshape(rows, shape)
