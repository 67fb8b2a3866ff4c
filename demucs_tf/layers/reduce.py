"""Sums that keep their digits."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def mean_float64(x: Any) -> Any:
    """The mean over all axes but the first and the last, in float64.

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
    """The mean of each batch item, (B, ...) -> (B, 1, ...)."""
    return tf.cast(_wide_mean(x), x.dtype)


def unbiased_std(x: Any) -> Any:
    """The standard deviation of each batch item, n - 1 in the denominator: (B, ...) -> (B, 1, ...).

    Reference: torch.std
    """
    deviation = tf.square(tf.cast(x, tf.float64) - _wide_mean(x))
    count = _items(x)
    return tf.cast(tf.sqrt(_wide_mean(deviation) * (count / (count - 1))), x.dtype)


def _wide_mean(x: Any) -> Any:
    return tf.reshape(mean_float64(x[..., None]), [-1, *[1] * (len(x.shape) - 1)])


def _items(x: Any) -> Any:
    return tf.cast(tf.reduce_prod(tf.shape(x)[1:]), tf.float64)
