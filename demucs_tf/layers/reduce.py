"""Sums that keep their digits."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_BLOCK = 256


def sum_float64(x: Any) -> Any:
    """Add up axis 1 in float64, block by block.

    TensorFlow adds up long axes one number after the other: over the positions of one song that
    costs float32 four of its seven digits, and float64 a few of the last.

    Shape: (B, N, ...) -> (B, 1, ...), float64.
    """
    if x.shape[1] is not None and x.shape[1] <= _BLOCK:
        return tf.reduce_sum(tf.cast(x, tf.float64), 1, keepdims=True)
    shape = tf.shape(x)
    padding = [[0, 0], [0, -shape[1] % _BLOCK]] + [[0, 0]] * (len(x.shape) - 2)
    padded = tf.pad(tf.cast(x, tf.float64), padding)
    blocks = tf.reshape(padded, tf.concat([[shape[0], -1, _BLOCK], shape[2:]], 0))
    return tf.reduce_sum(tf.reduce_sum(blocks, 2), 1, keepdims=True)
