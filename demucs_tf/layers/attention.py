"""Attention: over time with a learnt penalty on distance, and scaled dot-product attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from demucs_tf.layers.base import Layer, weights_are_blank
from demucs_tf.layers.conv import Conv1d
from demucs_tf.layers.linear import Linear, product
from demucs_tf.layers.shape import lengths, pad_axis, size

# Queries that attend at a time.
_BLOCK = 384


class LocalState(Layer):
    """Multi-head attention whose scores fall with distance, at a rate drawn from the data.

    Args:
        channels: C, a multiple of `heads`.
        heads: number of heads H.
        ndecay: number N of decay rates that each query mixes.

    Shape: (B, T, C) -> (B, T, C).

    Raises:
        ValueError: `channels` is not a multiple of `heads`.

    Reference: demucs/demucs.py::LocalState (`nfreqs` is 0 in every Demucs model and left out)
    """

    def __init__(self, channels: int, heads: int = 4, ndecay: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if channels % heads:
            raise ValueError(
                f"LocalState needs channels divisible by heads, got {channels} channels for "
                f"{heads} heads: change channels or dconv_comp."
            )
        self.channels = channels
        self.heads = heads
        self.ndecay = ndecay
        self.content = Conv1d(channels, channels, 1, dtype=self.dtype)
        self.query = Conv1d(channels, channels, 1, dtype=self.dtype)
        self.key = Conv1d(channels, channels, 1, dtype=self.dtype)
        self.query_decay = Conv1d(channels, heads * ndecay, 1, dtype=self.dtype)
        if not weights_are_blank():  # decays close to zero give a fresh model its widest window
            self.query_decay.weight.assign(self.query_decay.weight * 0.01)
            self.query_decay.bias.assign(tf.fill([heads * ndecay], tf.constant(-2, self.dtype)))
        self.proj = Conv1d(channels, channels, 1, dtype=self.dtype)

    def call(self, x: Any) -> Any:
        """(B, T, C) -> (B, T, C)."""
        delta = self.step("delta", lambda: self._delta(size(x, 1)))
        queries = self.step("queries", self._split, self.query(x))  # (B, T, H, C / H)
        keys = self.step("keys", self._split, self.key(x))
        scores = self.step("scores", self._scores, keys, queries)  # (B, H, query, key)
        rates = self.step("rates", lambda: tf.range(1, self.ndecay + 1, dtype=self.compute_dtype))
        decays = self.step("decays", self._split, self.query_decay(x))  # (B, T, H, N)
        scores = self.step("penalty", self._penalise, decays, rates, delta, scores)
        weights = self.step("weights", tf.nn.softmax, scores)
        content = self.step("content", self._split, self.content(x))
        result = self.step("result", self._mix, weights, content)
        return self.step("skip", tf.add, x, self.proj(result))

    def _delta(self, length: Any) -> Any:
        """Index of the key less index of the query, (key, query)."""
        indexes = tf.range(length)
        return tf.cast(indexes[:, None] - indexes[None, :], self.compute_dtype)

    def _split(self, x: Any) -> Any:
        return tf.reshape(x, [*lengths(x)[:-1], self.heads, x.shape[2] // self.heads])

    def _scores(self, keys: Any, queries: Any) -> Any:
        scale = tf.constant((self.channels // self.heads) ** 0.5, keys.dtype)
        return tf.einsum("bthc,bshc->bhst", keys, queries) / scale

    def _penalise(self, decays: Any, rates: Any, delta: Any, scores: Any) -> Any:
        # Every decay kernel is a multiple of |delta|, so the rates can be summed beforehand.
        mixed = tf.einsum("bshn,n->bhs", tf.sigmoid(decays) / 2, rates)
        scale = tf.constant(self.ndecay**0.5, scores.dtype)
        scores -= mixed[..., None] * (tf.abs(delta) / scale)
        # QUIRK demucs/demucs.py:207: a query's own key is not masked with -inf but set to -100.
        own = tf.equal(delta, 0)
        return tf.where(own, tf.constant(-100, scores.dtype), scores)

    def _mix(self, weights: Any, content: Any) -> Any:
        result = tf.einsum("bhst,bthc->bshc", weights, content)
        return tf.reshape(result, [*lengths(result)[:2], self.channels])


class MultiheadAttention(Layer):
    """Scaled dot-product attention of queries over keys, with a linear map before and after.

    Queries are worked on in blocks, so that memory grows with the number of keys and not with its
    square.

    Args:
        embed_dim: D, a multiple of `num_heads`.
        num_heads: number of heads.

    Variables: in_proj_weight (D, 3 D) and in_proj_bias (3 D), for query, key and value in turn;
    out_proj, a Linear.
    Shape: (B, T, D), (B, S, D), (B, S, D) -> (B, T, D).

    Raises:
        ValueError: `embed_dim` is not a multiple of `num_heads`.

    Reference: torch.nn.MultiheadAttention(batch_first=True)
    """

    def __init__(self, embed_dim: int, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention needs embed_dim divisible by num_heads, got {embed_dim} "
                f"channels for {num_heads} heads: change t_heads, channels or bottom_channels."
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        glorot = keras.initializers.GlorotUniform()
        self.in_proj_weight = self.variable("in_proj_weight", (embed_dim, 3 * embed_dim), glorot)
        self.in_proj_bias = self.variable("in_proj_bias", (3 * embed_dim,), 0)
        self.out_proj = Linear(embed_dim, embed_dim, dtype=self.dtype)
        if not weights_are_blank():
            self.out_proj.bias.assign(tf.zeros_like(self.out_proj.bias))

    def call(self, query: Any, key: Any, value: Any) -> Any:
        """(B, T, D), (B, S, D), (B, S, D) -> (B, T, D)."""
        q = self.step("q", lambda x: self._project(x, 0), query)
        k = self.step("k", lambda x: self._project(x, 1), key)
        v = self.step("v", lambda x: self._project(x, 2), value)
        heads = self.step("heads", self._attend, q, k, v)  # (B, T, H, D / H)
        return self.step("out_proj", self._merge, heads)

    def _project(self, x: Any, index: int) -> Any:
        part = slice(index * self.embed_dim, (index + 1) * self.embed_dim)
        return product(x, self.in_proj_weight[:, part]) + self.in_proj_bias[part]

    def _merge(self, heads: Any) -> Any:
        merged = tf.reshape(heads, [*lengths(heads)[:2], self.embed_dim])
        return self.out_proj.call(merged)  # not a call of its own in the reference either

    def _split(self, x: Any) -> Any:
        """(B, T, D) -> (B, H, T, D / H)."""
        width = self.embed_dim // self.num_heads
        x = tf.reshape(x, [*lengths(x)[:-1], self.num_heads, width])
        return tf.transpose(x, [0, 2, 1, 3])

    def _attend(self, q: Any, k: Any, v: Any) -> Any:
        q, k, v = self._split(q), self._split(k), self._split(v)
        q *= tf.constant((self.embed_dim // self.num_heads) ** -0.5, q.dtype)

        def attend(q: Any) -> Any:
            weights = tf.nn.softmax(tf.matmul(q, k, transpose_b=True))
            return tf.matmul(weights, v)

        length = size(q, 2)
        if isinstance(length, int):
            rows = [min(_BLOCK, length - start) for start in range(0, length, _BLOCK)]
            heads = tf.concat([attend(block) for block in tf.split(q, rows, 2)], 2)
        else:
            heads = _by_blocks(attend, q)
        return tf.transpose(heads, [0, 2, 1, 3])


def _by_blocks(function: Callable[[Any], Any], x: Any) -> Any:
    """`function` of blocks along axis 2, whose length is unknown: (B, H, T, D) -> (B, H, T, D)."""
    batch, heads, length, width = (size(x, axis) for axis in range(4))
    count = -(-length // _BLOCK)
    padded = pad_axis(x, 0, count * _BLOCK - length, axis=2)
    blocks = tf.reshape(padded, [batch, heads, count, _BLOCK, width])
    blocks = tf.map_fn(function, tf.transpose(blocks, [2, 0, 1, 3, 4]))
    rows = tf.reshape(tf.transpose(blocks, [1, 2, 0, 3, 4]), [batch, heads, -1, width])
    return rows[:, :, :length]
