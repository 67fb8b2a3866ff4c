"""Attention over time with a learnt penalty on distance."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import BTC, Layer, is_portable, weights_are_blank
from demucs_tf.layers.conv import Conv1d
from demucs_tf.layers.shape import lengths, one_of, reshape, size


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

    def call(self, x: BTC) -> BTC:
        delta = self.step("delta", lambda: self._delta(x))
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

    def _delta(self, x: Any) -> Any:
        """Subtract the index of the query from that of the key, (key, query)."""
        indexes = tf.range(size(x, 1))
        if not is_portable():
            return tf.cast(indexes[:, None] - indexes[None, :], self.compute_dtype)
        # A product, because converters would put a table of all pairs into the file.
        steps = tf.cast(indexes, self.compute_dtype)
        ones = tf.ones_like(steps)
        keys = tf.stack([steps, ones], 1) * tf.cast(one_of(x), self.compute_dtype)
        return tf.squeeze(tf.matmul(keys[None], tf.stack([ones, -steps])[None]), 0)

    def _split(self, x: Any) -> Any:
        return reshape(x, [*lengths(x)[:-1], self.heads, x.shape[2] // self.heads])

    def _scores(self, keys: Any, queries: Any) -> Any:
        scale = tf.constant((self.channels // self.heads) ** 0.5, keys.dtype)
        # Einstein's sum of these axes takes twice as long as a product of axes that are in order.
        return (
            tf.matmul(tf.transpose(queries, [0, 2, 1, 3]), tf.transpose(keys, [0, 2, 3, 1])) / scale
        )

    def _penalise(self, decays: Any, rates: Any, delta: Any, scores: Any) -> Any:
        # Every decay kernel is a multiple of |delta|, so the rates can be summed beforehand.
        mixed = tf.einsum("bshn,n->bhs", tf.sigmoid(decays) / 2, rates)
        scale = tf.constant(self.ndecay**0.5, scores.dtype)
        scores -= tf.expand_dims(mixed, -1) * (tf.abs(delta) / scale)
        # QUIRK demucs/demucs.py:207: a query's own key is not masked with -inf but set to -100.
        others = tf.minimum(tf.abs(delta), tf.constant(1, scores.dtype))
        return scores * others + 100 * (others - 1)

    def _mix(self, weights: Any, content: Any) -> Any:
        result = tf.einsum("bhst,bthc->bshc", weights, content)
        return reshape(result, [*lengths(result)[:2], self.channels])
