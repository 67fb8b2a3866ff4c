"""Scaled dot-product attention of several heads."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import (
    BTD,
    Dropout,
    Layer,
    is_portable,
    once_there,
    uniform_within,
    weights_are_blank,
)
from demucs_tf.layers.linear import Linear, as_type, product
from demucs_tf.layers.shape import ceil_div, lengths, pad_axis, reshape, size

# Queries that attend at a time.
_BLOCK = 384


class MultiheadAttention(Layer):
    """Scaled dot-product attention of queries over keys, with a linear map before and after.

    Queries are worked on in blocks, so that memory grows with the number of keys and not with its
    square.

    Args:
        embed_dim: D, a multiple of `num_heads`.
        num_heads: number of heads.
        dropout: share of the weights of keys that become zero in training.

    Variables: in_proj_weight (D, 3 D) and in_proj_bias (3 D), for query, key and value in turn;
    out_proj, a Linear.
    Shape: (B, T, D), (B, S, D), (B, S, D) -> (B, T, D).

    Raises:
        ValueError: `embed_dim` is not a multiple of `num_heads`.

    Reference: torch.nn.MultiheadAttention(batch_first=True)
    """

    factors = ("in_proj_weight",)

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention needs embed_dim divisible by num_heads, got {embed_dim} "
                f"channels for {num_heads} heads: change t_heads, channels or bottom_channels."
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self._dropout = Dropout(dropout, dtype=self.dtype)  # a number in the reference, no module
        glorot = uniform_within(math.sqrt(6 / (embed_dim + 3 * embed_dim)))
        self.in_proj_weight = self.variable("in_proj_weight", (embed_dim, 3 * embed_dim), glorot)
        self.in_proj_bias = self.variable("in_proj_bias", (3 * embed_dim,), 0)
        self.out_proj = Linear(embed_dim, embed_dim, dtype=self.dtype)
        if not weights_are_blank():
            self.out_proj.bias.assign(tf.zeros_like(self.out_proj.bias))

    def call(self, query: BTD, key: BTD, value: BTD, training: bool = False) -> BTD:
        q = self.step("q", lambda x: self._project(x, 0), query)
        k = self.step("k", lambda x: self._project(x, 1), key)
        v = self.step("v", lambda x: self._project(x, 2), value)
        attend = self._attend
        if training and self._dropout.rate:
            attend = partial(attend, drop=partial(self._dropout.call, training=True))
        heads = self.step("heads", attend, q, k, v)  # (B, T, H, D / H)
        return self.step("out_proj", self._merge, heads)

    def _project(self, x: Any, index: int) -> Any:
        part = slice(index * self.embed_dim, (index + 1) * self.embed_dim)
        return product(x, once_there(x, self.in_proj_weight)[:, part], self.in_proj_bias[part])

    def _merge(self, heads: Any) -> Any:
        merged = reshape(heads, [*lengths(heads)[:2], self.embed_dim])
        merged = as_type(merged, self.compute_dtype)
        return self.out_proj.call(merged)  # not a call of its own in the reference either

    def _split(self, x: Any, turned: bool = False) -> Any:
        """Give each head its part of D: (B, T, D) -> (B, H, T, D / H), turned (B, H, D / H, T)."""
        width = self.embed_dim // self.num_heads
        x = reshape(x, [*lengths(x)[:-1], self.num_heads, width])
        return tf.transpose(x, [0, 2, 3, 1] if turned else [0, 2, 1, 3])

    def _attend(self, q: Any, k: Any, v: Any, drop: Callable[[Any], Any] | None = None) -> Any:
        precision = tf.convert_to_tensor(self.in_proj_weight).dtype
        q, k, v = (as_type(each, precision) for each in (q, k, v))
        turned = not is_portable()  # a product takes less time with keys that lie as it wants them
        q, k, v = self._split(q), self._split(k, turned), self._split(v)
        scale = tf.constant((self.embed_dim // self.num_heads) ** -0.5, q.dtype)

        def attend(q: Any) -> Any:
            # Scaled block by block: LiteRT's converter would multiply the weights of all with it.
            # Softmax of bfloat16 is worked out in float32 by oneDNN, and on GPUs.
            weights = tf.nn.softmax(tf.matmul(q * scale, k, transpose_b=not turned))
            return tf.matmul(weights if drop is None else drop(weights), v)

        length = size(q, 2)
        if isinstance(length, int):
            # LiteRT's kernels for CPUs join five tensors at most.
            block = max(_BLOCK, ceil_div(length, 5)) if is_portable() else _BLOCK
            starts = range(0, length, block)
            heads = tf.concat([attend(q[:, :, start : start + block]) for start in starts], 2)
        else:
            heads = _by_blocks(attend, q)
        return tf.transpose(heads, [0, 2, 1, 3])


def _by_blocks(function: Callable[[Any], Any], x: Any) -> Any:
    """Apply `function` to blocks of axis 2, whose length is unknown: (B, H, T, D), kept."""
    batch, heads, length, width = (size(x, axis) for axis in range(4))
    count = ceil_div(length, _BLOCK)
    padded = pad_axis(x, 0, count * _BLOCK - length, axis=2)
    blocks = reshape(padded, [batch, heads, count, _BLOCK, width])
    blocks = tf.map_fn(function, tf.transpose(blocks, [2, 0, 1, 3, 4]))
    rows = reshape(tf.transpose(blocks, [1, 2, 0, 3, 4]), [batch, heads, -1, width])
    return rows[:, :, :length]
