"""Linear, which multiplies by a matrix, and Embedding, which picks rows of one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import (
    Layer,
    is_joined,
    is_joined_here,
    is_portable,
    normal,
    uniform,
    with_gradient,
)
from demucs_tf.layers.shape import ceil_div, lengths, pad_axis, reshape, size

# Rows that a gradient adds up one after the other.
_ROWS = 32
# Numbers in a matrix up to which its gradient is added up in blocks.
_SMALL = 1024


class Linear(Layer):
    """Affine map over the last axis, `x W + b`.

    Variables: weight (C, C'), bias (C').
    Shape: (..., C) -> (..., C').

    Reference: torch.nn.Linear
    """

    factors = ("weight",)

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

    It multiplies in the precision of `weight`, and gives the type of `x`: see `as_type`.
    """
    weight, dtype = tf.convert_to_tensor(weight), x.dtype
    x = as_type(x, weight.dtype)
    rows = _times(reshape(x, [-1, weight.shape[0]]), weight)
    shape = [*lengths(x)[:-1], weight.shape[1]]
    if is_portable():  # ONNX's converter loses one of two shapes with nothing in between
        rows = reshape(rows, shape)
    if bias is not None:
        rows = add_bias(rows, as_type(bias, weight.dtype))
    if activation is not None:
        rows = activation(rows)
    return rows if is_portable() else as_type(reshape(rows, shape), dtype)


# A weight in bfloat16 (`inference/graphs/precision.py`) has its products worked out in bfloat16,
# added up in float32, and rounded once. Whoever multiplies goes down to the weight's type and back
# up to its input's; all that lies between products is in that.


def as_type(x: Any, dtype: Any) -> Any:
    """Convert to another precision; what came up from bfloat16 goes down to what it was."""
    x = tf.convert_to_tensor(x)
    if x.dtype == dtype:
        return x
    if dtype == tf.bfloat16 and tf.is_symbolic_tensor(x) and x.op.type == "Cast":
        before = x.op.inputs[0]
        if before.dtype == dtype:  # the graph then has neither conversion
            return before
    return tf.cast(x, dtype)


# The gradient of what is added to, or multiplied with, every position is a sum over all positions.
# TensorFlow adds them up one after the other, which costs float32 four of its seven digits over
# some seconds of audio. So these have gradients of ours, which add up in blocks; graphs that are
# never trained go without.


def add_bias(x: Any, bias: Any) -> Any:
    """Add a vector to every position: (..., C), (C) -> (..., C)."""
    # What TensorFlow fuses with a product or a convolution is this operation.
    fused = len(x.shape) != 3 or is_joined_here()
    plus = tf.nn.bias_add if fused else tf.add
    if is_joined() or is_portable():
        return plus(x, bias)
    return with_gradient(plus, lambda slope, *_: (slope, _over_positions(slope)), x, bias)


def scaled(x: Any, factor: Any) -> Any:
    """Multiply every position with a vector: (..., C), (C) -> (..., C)."""
    if is_joined() or is_portable():
        return x * factor

    def gradient(slope: Any, x: Any, factor: Any) -> Any:
        return slope * factor, _over_positions(slope * x)

    return with_gradient(tf.multiply, gradient, x, factor)


def scaled_and_shifted(x: Any, scale: Any, shift: Any) -> Any:
    """`x * scale + shift` for each item: (B, P, ..., C), twice (B, 1, ..., C) -> (B, P, ..., C)."""
    if is_joined() or is_portable():
        return x * scale + shift

    def gradient(slope: Any, x: Any, scale: Any, _: Any) -> Any:
        return slope * scale, _over_axis_1(slope * x), _over_axis_1(slope)

    return with_gradient(lambda x, scale, shift: x * scale + shift, gradient, x, scale, shift)


def _times(rows: Any, weight: Any) -> Any:
    """(N, C), (C, C') -> (N, C')"""
    # Of small matrices TensorFlow adds up the N products of a gradient one by one as well.
    if is_joined() or is_portable() or math.prod(weight.shape) > _SMALL:
        return tf.matmul(rows, weight)

    def gradient(slope: Any, rows: Any, weight: Any) -> Any:
        missing = -size(rows, 0) % _ROWS
        blocks, slopes = (
            reshape(pad_axis(x, 0, missing, axis=0), [-1, _ROWS, x.shape[1]]) for x in (rows, slope)
        )
        products = tf.matmul(blocks, slopes, transpose_a=True)  # (N / _ROWS, C, C')
        return tf.matmul(slope, weight, transpose_b=True), _over_axis_1(products[None])[0, 0]

    return with_gradient(tf.matmul, gradient, rows, weight)


def _over_positions(x: Any) -> Any:
    """(..., C) -> (C)"""
    width = x.shape[-1]
    return reshape(_over_axis_1(reshape(x, [1, -1, width])), [width])


def _over_axis_1(x: Any) -> Any:
    """Add up in blocks: (B, P, ...) -> (B, 1, ...)."""
    rest, length = [size(x, axis) for axis in range(2, len(x.shape))], size(x, 1)
    while not isinstance(length, int) or length > 2 * _ROWS:
        count = ceil_div(length, _ROWS)
        x = pad_axis(x, 0, count * _ROWS - length, axis=1)
        blocks = reshape(x, [size(x, 0), _ROWS, -1])
        x = reshape(tf.reduce_sum(blocks, 1), [size(x, 0), count, *rest])
        if not isinstance(length, int):
            break
        length = count
    return tf.reduce_sum(x, 1, keepdims=True)
