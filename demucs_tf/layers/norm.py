"""Means and deviations that keep their digits, and the norms that are made of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import BTC, Identity, Layer, is_portable
from demucs_tf.layers.linear import add_bias, as_type, scaled, scaled_and_shifted
from demucs_tf.layers.shape import ceil_div, lengths, pad_axis, reshape, size

# TensorFlow adds up any axis but the last one number after the other, which over the positions of a
# song costs float32 four of its seven digits. So all sums run along the last axis, in two or three
# levels of short rows: that stays near float64, and every runtime has it.
_ROW = 256


def total(x: Any) -> Any:
    """Add up the last axis, row by row: (B, N) -> (B, 1), or (B, 1, N) of an unknown length N."""
    length = size(x, -1)
    while not isinstance(length, int) or length > 2 * _ROW:
        count = ceil_div(length, _ROW)
        missing = count * _ROW - length
        if not isinstance(missing, int) or missing:
            x = pad_axis(x, 0, missing, axis=-1)
        x = tf.reduce_sum(reshape(x, _rows(x, count)), -1)
        if not isinstance(length, int):
            return tf.reduce_sum(x, 1, keepdims=True)
        length = count
    return tf.reduce_sum(x, 1, keepdims=True)


def _rows(x: Any, count: Any) -> list[Any]:
    """Lengths for `reshape`: (B, N) -> (B, count, row)."""
    batch = _batch(x)
    return [batch, count if batch < 0 else -1, _ROW]


# Both statistics in float64: the mean of music is next to zero, and what float32 loses there to
# cancellation would be all of its digits. Other runtimes have no float64.


def mean(x: Any) -> Any:
    """Average each batch item: (B, ...) -> (B, 1, ...)."""
    return _like(_mean(_flat(x)), x)


def unbiased_std(x: Any) -> Any:
    """Work out each batch item's standard deviation, over n - 1: (B, ...) -> (B, 1, ...).

    Reference: torch.std
    """
    flat = _flat(x)
    variance = total(tf.square(flat - _mean(flat))) / (_count(flat) - 1)
    return _like(tf.sqrt(variance), x)


def _flat(x: Any) -> Any:
    wide, rest = x if is_portable() else tf.cast(x, tf.float64), x.shape[1:]
    return reshape(wide, [size(x, 0), -1] if None in rest else [-1, math.prod(rest)])


def _mean(flat: Any) -> Any:
    return total(flat) / _count(flat)


def _count(flat: Any) -> Any:
    return _number(size(flat, -1), flat.dtype)


def _number(count: Any, dtype: Any) -> Any:
    """A length as a number of a type: a constant if it is known."""
    return tf.constant(count, dtype) if isinstance(count, int) else tf.cast(count, dtype)


def _like(value: Any, x: Any) -> Any:
    shape = [_batch(x), *[1] * (len(x.shape) - 1)]
    return reshape(tf.cast(value, x.dtype), shape)


def _batch(x: Any) -> int:
    """The batch, for `reshape`: said where it would be the only thing that a graph knows."""
    return -1 if x.shape[0] is None or None not in x.shape[1:] else x.shape[0]


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
        average: Callable[[Any], Any] = _mean_of_rows if groups == 1 else _group_mean
        positions, weight, bias = [*_merged(x), width], self.weight, self.bias
        if groups == 1:
            rows = _even_rows(x)
        else:
            positions.insert(-1, groups)
            rows = reshape(x, positions)  # (B, P, G, C / G)
            weight, bias = (reshape(each, [groups, width]) for each in (weight, bias))
        centred = rows - average(rows)
        # What rounding left in the mean would be divided by sqrt(epsilon) in a group that is nearly
        # constant, so it goes into the shift.
        rest = average(centred)
        variance = average(tf.square(centred)) - tf.square(rest)
        scale = weight / tf.sqrt(variance + tf.constant(self.epsilon, x.dtype))
        centred = reshape(centred, positions)
        y = scaled_and_shifted(centred, scale, bias - rest * scale)
        return reshape(y, lengths(x)) if groups > 1 or len(x.shape) > 3 else y


def fold(x: BTC, weight: Any, bias: Any, norm: GroupNorm) -> tuple[BTC, Any]:
    """Fold a norm of one group into the product in front of it, which saves its passes.

    The statistics of `x W + b` follow from those of x, which has to have far fewer channels to make
    that worth while: its mean from the mean of x, its variance from the covariance of the channels
    of x. What is left of the norm are factors of x and of the columns of W.

    Args:
        x: (B, T, C).
        weight: W, (C, C').
        bias: b, (C').
        norm: a norm over C' channels in one group.

    Returns:
        x' (B, T, C + 2) and W' (C + 2, C'): norm(x W + b) is x' W' + norm.bias.
    """
    weight, length = as_type(weight, x.dtype), _number(size(x, 1), x.dtype)
    columns = reshape(tf.transpose(x, [0, 2, 1]), [-1, size(x, 1), 1])  # (B C, T, 1)
    mean = reshape(_mean_of_rows(_even_rows(columns)), [-1, x.shape[2]])  # (B, C)
    covariance = _gram(x - tf.expand_dims(mean, 1)) / length
    middle, between = (_by_matrix if is_portable() else _by_column)(mean, weight, bias)
    inside = covariance * (tf.matmul(weight, weight, transpose_b=True) / weight.shape[1])
    # Rounding may leave less than nothing of the variance of a large and constant input.
    variance = tf.nn.relu(tf.reduce_sum(inside, [1, 2])) + between
    scale = reshape(tf.math.rsqrt(variance + tf.constant(norm.epsilon, x.dtype)), [-1, 1, 1])
    # Not ones, which a file would have for each position.
    one = x[..., :1] * 0 + 1 if is_portable() else tf.ones_like(x[..., :1])
    wider = tf.concat([x, one, one * -tf.expand_dims(middle, 1)], -1)
    rows = tf.concat([weight, tf.expand_dims(bias, 0), tf.ones([1, bias.shape[0]], x.dtype)], 0)
    return wider * scale, rows * norm.weight


def _by_column(mean: Any, weight: Any, bias: Any) -> tuple[Any, Any]:
    """Mean and variance of the means of `x W + b` from that of x, (B, C) -> (B, 1), (B)."""
    columns = tf.matmul(mean, weight) + bias
    middle = tf.reduce_mean(columns, 1, keepdims=True)
    return middle, tf.reduce_mean(tf.square(columns - middle), 1)


def _by_matrix(mean: Any, weight: Any, bias: Any) -> tuple[Any, Any]:
    """The same by products with small constants, in place of one with W, which a file has anyway.

    As another matrix: behind the norm it is multiplied with the norm's weight.
    """
    rows = tf.concat([weight, bias[None]], 0)
    average = tf.reduce_mean(rows, 1, keepdims=True)
    matrix = tf.matmul(rows - average, rows - average, transpose_b=True) / weight.shape[1]
    mean = tf.concat([mean, tf.ones_like(mean[:, :1])], 1)  # (B, C + 1)
    between = tf.nn.relu(tf.reduce_sum(tf.matmul(mean, matrix) * mean, 1))
    return tf.matmul(mean, average), between


def _gram(x: Any) -> Any:
    """Multiply all pairs of channels, and add up over time: (B, T, C) -> (B, C, C)."""
    length, channels = size(x, 1), x.shape[2]
    if isinstance(length, int) and length <= 2 * _ROW:
        return tf.matmul(x, x, transpose_a=True)
    row = _even_row(length) if isinstance(length, int) else 0
    if not row:
        row = _ROW
        x = pad_axis(x, 0, ceil_div(length, row) * row - length, axis=1)
    count = ceil_div(length, row)
    x = reshape(x, [-1, row, channels])
    rows = reshape(tf.matmul(x, x, transpose_a=True), [-1, count, channels**2])
    return reshape(tf.reduce_sum(rows, 1), [-1, channels, channels])


def _merged(x: Any) -> list[Any]:
    """Lengths for `reshape` with all axes between the first and the last as one."""
    middle = x.shape[1:-1]
    if None in middle:
        return [size(x, 0), -1]
    return [-1, math.prod(middle)]


# Rows without a rest need no padding, and about as many of them as they are long no third level.
# Each operation less is a quarter of a millisecond when a graph is made.
_MOST = 2048


@lru_cache(maxsize=1024)
def _even_row(length: int) -> int:
    """A length for rows that leave no rest; 0 if there is none, or all fits into one row."""
    if length <= 2 * _ROW:
        return 0
    candidates = range(math.isqrt(length), _ROW // 4, -1)
    row = next((row for row in candidates if length % row == 0), 0)
    return row if row and length // row <= _MOST else 0


def _even_rows(x: Any) -> Any:
    """Cut each batch item into rows: (B, ...) -> (B, R, N); one where there would be a rest."""
    rest = x.shape[1:]
    if None in rest:
        return reshape(x, [size(x, 0), 1, -1])
    count = math.prod(rest)
    row = _even_row(count) or count
    return reshape(x, [-1, count // row, row])


def _mean_of_rows(rows: Any) -> Any:
    """Average each batch item: (B, R, N) -> (B, 1, 1)."""
    if rows.shape[1] > 1:
        count = tf.constant(rows.shape[1] * rows.shape[2], rows.dtype)
        return tf.reduce_sum(tf.reduce_sum(rows, -1, keepdims=True), 1, keepdims=True) / count
    return tf.expand_dims(_mean(rows if rows.shape[2] is None else tf.squeeze(rows, 1)), 1)


def _group_mean(grouped: Any) -> Any:
    """Average each group: (B, P, G, C / G) -> (B, 1, G, 1)."""
    groups, width = grouped.shape[2:]
    batch, count = _batch(grouped), size(grouped, 1) * width
    rows = tf.transpose(tf.reduce_sum(grouped, -1), [0, 2, 1])  # (B, G, P)
    rows = reshape(rows, [-1, size(grouped, 1)] if batch < 0 else [batch * groups, -1])  # (B G, P)
    return reshape(total(rows) / _number(count, rows.dtype), [batch, 1, groups, 1])


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
        return add_bias(scaled(centred * scale, self.weight), self.bias)
