"""The transformer between encoder and decoder, in which both branches attend to each other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from demucs_tf.blocks.embedding import (
    ScaledEmbedding,
    augmented,
    sin_embedding,
    sin_embedding_2d,
    sin_embedding_of_steps,
)
from demucs_tf.blocks.layer_scale import LayerScale
from demucs_tf.layers.activation import gelu
from demucs_tf.layers.attention import MultiheadAttention
from demucs_tf.layers.base import BFTC, BTC, BTD, Dropout, Identity, Layer, is_joined, is_portable
from demucs_tf.layers.linear import Linear, product
from demucs_tf.layers.norm import GroupNorm, LayerNorm, norm_or_identity
from demucs_tf.layers.shape import one_of, reshape, size


class _AttentionLayer(Layer):
    """What layers of self-attention and of cross-attention have in common.

    Args:
        d_model: D.
        nhead: heads of the attention.
        dim_feedforward: width between the two linear maps.
        dropout: share of activations dropped in training.
        gelu: GELU between the linear maps, otherwise ReLU.
        group_norm: groups of norms over all positions; 0 for norms of each position by itself.
        norm_first: norms in front of attention and linear maps, otherwise behind.
        norm_out: with `norm_first`, groups of a norm at the end; 0 for none.
        layer_scale: learnt factors of both residual branches.
    """

    repeated = True
    # Attributes are set in the reference's order: states that diffq packed rely on it.
    attention: str
    norms: int

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        gelu: bool,
        group_norm: int,
        norm_first: bool,
        norm_out: int,
        layer_scale: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        dtype = self.dtype
        self.norm_first = norm_first
        self.gelu = gelu
        self._group_norm, self._d_model = int(group_norm), d_model
        setattr(self, self.attention, MultiheadAttention(d_model, nhead, dropout, dtype=dtype))
        self.linear1 = Linear(d_model, dim_feedforward, dtype=dtype)
        self.dropout = Dropout(dropout, dtype=dtype)
        self.linear2 = Linear(dim_feedforward, d_model, dtype=dtype)
        for number in range(1, self.norms + 1):
            setattr(self, f"norm{number}", self._norm())
        self.norm_out = None
        if norm_first and norm_out:
            self.norm_out = GroupNorm(int(norm_out), d_model, epsilon=1e-5, dtype=dtype)
        self.gamma_1: Layer = Identity(dtype=dtype)
        self.gamma_2: Layer = Identity(dtype=dtype)
        if layer_scale:
            self.gamma_1 = LayerScale(d_model, 1e-4, dtype=dtype)
            self.gamma_2 = LayerScale(d_model, 1e-4, dtype=dtype)
        self.dropout1 = Dropout(dropout, dtype=dtype)
        self.dropout2 = Dropout(dropout, dtype=dtype)

    def _norm(self) -> Layer:
        if self._group_norm:
            return GroupNorm(self._group_norm, self._d_model, epsilon=1e-5, dtype=self.dtype)
        return LayerNorm(self._d_model, epsilon=1e-5, dtype=self.dtype)

    def _feed_forward(self, x: Any) -> Any:
        activation = gelu if self.gelu else tf.nn.relu
        if is_joined():  # the product does it before its result leaves the cache
            x = product(x, self.linear1.weight, self.linear1.bias, activation)
        else:
            x = self.step("activation", activation, self.linear1(x))
        return self.dropout2(self.linear2(self.dropout(x)))


class MyTransformerEncoderLayer(_AttentionLayer):
    """Self-attention, then two linear maps, both with a skip. For arguments see the base class.

    Shape: (B, T, D) -> (B, T, D).

    Reference: demucs/transformer.py::MyTransformerEncoderLayer
    """

    attention = "self_attn"
    norms = 2

    def call(self, src: BTD) -> BTD:
        x = src
        if self.norm_first:
            x = self.step("attention_skip", tf.add, x, self._attend(self.norm1(x)))
            x = self.step(
                "forward_skip", tf.add, x, self.gamma_2(self._feed_forward(self.norm2(x)))
            )
            return x if self.norm_out is None else self.norm_out(x)
        x = self.norm1(self.step("attention_skip", tf.add, x, self._attend(x)))
        return self.norm2(self.step("forward_skip", tf.add, x, self.gamma_2(self._feed_forward(x))))

    def _attend(self, x: Any) -> Any:
        return self.gamma_1(self.dropout1(self.self_attn(x, x, x)))


class CrossTransformerEncoderLayer(_AttentionLayer):
    """Attention over the other branch, then two linear maps, both with a skip.

    For arguments see the base class.

    Shape: (B, T, D), (B, S, D) -> (B, T, D).

    Reference: demucs/transformer.py::CrossTransformerEncoderLayer
    """

    attention = "cross_attn"
    norms = 3

    def call(self, q: BTD, k: BTD) -> BTD:
        if self.norm_first:
            x = self.step("attention_skip", tf.add, q, self._attend(self.norm1(q), self.norm2(k)))
            x = self.step(
                "forward_skip", tf.add, x, self.gamma_2(self._feed_forward(self.norm3(x)))
            )
            return x if self.norm_out is None else self.norm_out(x)
        # QUIRK demucs/transformer.py:498-500: without norm_first the third norm is never used.
        x = self.norm1(self.step("attention_skip", tf.add, q, self._attend(q, k)))
        return self.norm2(self.step("forward_skip", tf.add, x, self.gamma_2(self._feed_forward(x))))

    def _attend(self, q: Any, k: Any) -> Any:
        return self.gamma_1(self.dropout1(self.cross_attn(q, k, k)))


class CrossTransformerEncoder(Layer):
    """Layers of self-attention and of cross-attention in turn, for both branches.

    Args:
        dim: D, a multiple of 4 and of `num_heads`.
        emb: positions of the time branch: "sin", "scaled" (learnt) or "cape".
        hidden_scale: the linear maps are this many times as wide as D.
        num_heads: heads of each attention.
        num_layers: layers of each branch.
        cross_first: start with cross-attention.
        dropout: share of activations dropped in training.
        max_positions: with "scaled", the largest number of steps.
        norm_in: normalise each position of the input.
        norm_in_group: without `norm_in`, groups of a norm over all positions; 0 for none.
        group_norm, norm_first, norm_out, layer_scale, gelu: see the layers.
        max_period: of the sinusoids, over 2 pi.
        sin_random_shift: with "sin", shift positions by a random 0 to this many steps.
        weight_pos_embed: factor of the embedding of positions.
        cape_mean_normalize: with "cape", put position 0 in the middle.
        cape_augment: with "cape", move positions at random in training.
        cape_glob_loc_scale: by how much: all of an item by up to this many steps, each step by up
            to this many, and all of an item by a factor of up to this.

    Shape: (B, F, T1, D), (B, T2, D) -> the same.

    Reference: demucs/transformer.py::CrossTransformerEncoder
    """

    def __init__(
        self,
        dim: int,
        emb: str,
        hidden_scale: float,
        num_heads: int,
        num_layers: int,
        cross_first: bool,
        dropout: float,
        max_positions: int,
        norm_in: bool,
        norm_in_group: int,
        group_norm: int,
        norm_first: bool,
        norm_out: int,
        max_period: float,
        layer_scale: bool,
        gelu: bool,
        sin_random_shift: int,
        weight_pos_embed: float,
        cape_mean_normalize: bool,
        cape_augment: bool = False,
        cape_glob_loc_scale: Sequence[float] = (0.0, 0.0, 1.0),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if dim % 4:
            raise ValueError(
                "The transformer's width, that of the last encoder layer or bottom_channels, must "
                f"be a multiple of 4 for its sinusoids, got {dim}."
            )
        dtype = self.dtype
        self.dim = dim
        self.emb = emb
        self.max_period = max_period
        self.weight_pos_embed = weight_pos_embed
        self.sin_random_shift = sin_random_shift
        self.cape_mean_normalize = cape_mean_normalize
        self.cape_augment = cape_augment
        self.cape_glob_loc_scale = tuple(cape_glob_loc_scale)
        if emb == "scaled":
            self.position_embeddings = ScaledEmbedding(
                max_positions, dim, factor=3.0, init=0.2, dtype=dtype
            )
            self.max_positions = max_positions

        def norm() -> Layer:
            if norm_in:
                return LayerNorm(dim, epsilon=1e-5, dtype=dtype)
            return norm_or_identity(bool(norm_in_group), int(norm_in_group), dim, dtype)

        self.norm_in = norm()
        self.norm_in_t = norm()
        options = {
            "d_model": dim,
            "nhead": num_heads,
            "dim_feedforward": int(dim * hidden_scale),
            "dropout": dropout,
            "gelu": gelu,
            "group_norm": group_norm,
            "norm_first": norm_first,
            "norm_out": norm_out,
            "layer_scale": layer_scale,
            "dtype": dtype,
        }

        def layers() -> list[Layer]:
            kinds = [MyTransformerEncoderLayer, CrossTransformerEncoderLayer]
            start = 1 if cross_first else 0
            return [kinds[(index + start) % 2](**options) for index in range(num_layers)]

        self.layers = layers()
        self.layers_t = layers()

    def draw_shift(self, generator: Any = random) -> int:
        """Draw a shift of the positions as the reference does, from Python's `random`.

        It draws for every pass, also where 0 is the only choice, and so moves the generator on.
        """
        # QUIRK demucs/transformer.py:680: randrange(1) consumes random bits as well.
        return generator.randrange(self.sin_random_shift + 1) if self.emb == "sin" else 0

    def call(self, x: BFTC, xt: BTC, shift: Any = None, training: bool = False) -> tuple[BFTC, BTC]:
        """Let both branches attend to each other.

        `shift` is what `draw_shift` gave: an int, or an integer tensor (B). None: draw one; in
        training a graph draws one for each step.
        """
        if shift is None and training and self.sin_random_shift and not tf.executing_eagerly():
            shift = tf.random.uniform([1], 0, self.sin_random_shift + 1, tf.int32)
        if shift is None:
            shift = self.draw_shift()
        freqs, frames = x.shape[1], size(x, 2)
        position = self.step("positions_2d", lambda: self._positions_2d(freqs, frames, one_of(x)))
        x = self.norm_in(self.step("tokens", self._tokens, x))
        x = self.step("position", self._add_float32, position, x)

        position = self._positions(xt, shift, training)
        xt = self.norm_in_t(self.step("tokens_t", tf.identity, xt))
        add = self._add if self.emb == "scaled" else self._add_float32
        xt = self.step("position_t", add, position, xt)

        for layer, layer_t in zip(self.layers, self.layers_t, strict=True):
            if isinstance(layer, CrossTransformerEncoderLayer):
                x, xt = layer(x, xt), layer_t(xt, x)
            else:
                x, xt = layer(x), layer_t(xt)
        x = self.step("untokens", lambda x: self._untokens(x, freqs, frames), x)
        return x, self.step("untokens_t", tf.identity, xt)

    def _tokens(self, x: Any) -> Any:
        """Make time-major tokens: (B, F, T, D) -> (B, T F, D)."""
        batch, freqs, frames, dim = (size(x, axis) for axis in range(4))
        return reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, frames * freqs, dim])

    def _untokens(self, x: Any, freqs: int, frames: Any) -> Any:
        maps = reshape(x, [size(x, 0), frames, freqs, self.dim])
        return tf.transpose(maps, [0, 2, 1, 3])

    def _add(self, position: Any, x: Any) -> Any:
        return x + self.weight_pos_embed * position

    def _add_float32(self, position: Any, x: Any) -> Any:
        # QUIRK demucs/transformer.py:656: sinusoids are float32, and so is their weighted value.
        return x + tf.cast(self.weight_pos_embed * tf.cast(position, tf.float32), x.dtype)

    def _positions_2d(self, freqs: int, frames: Any, one: Any) -> Any:
        """Embed frequency and time of every token: (1, T F, D)."""
        embedding = sin_embedding_2d(self.dim, freqs, frames, self.max_period, one)
        return self._constant(reshape(embedding, [1, -1, self.dim]))

    def _positions(self, xt: Any, shift: Any, training: bool) -> Any:
        """Embed the time of every step: (1 or B, T, D)."""
        if self.emb == "scaled":
            length = size(xt, 1)
            index = self.step("index", lambda: tf.range(tf.cast(length, tf.int64)))
            embedding = self.position_embeddings(index)
            position = self.step("position_scaled", lambda x: x[:, None], embedding)
        else:
            position = self.step("positions", lambda: self._sinusoids(xt, shift, training))
        return self.step("batch_first", lambda x: tf.transpose(x, [1, 0, 2]), position)

    def _sinusoids(self, xt: Any, shift: Any, training: bool) -> Any:
        """Make sinusoids of shifted steps: (T, 1 or B, D)."""
        length = size(xt, 1)
        static = isinstance(length, int)
        embedding: Any
        if static and is_portable() and self.emb == "sin" and _is_zero(shift):
            embedding = sin_embedding_of_steps(length, self.dim, self.max_period, one_of(xt))
            return self._constant(embedding[:, None])
        if static:
            steps: Any = np.arange(length, dtype=np.float32)[:, None]
        else:
            steps = tf.cast(tf.range(length), tf.float32)[:, None]
        if self.emb == "sin":
            if isinstance(shift, tf.Tensor):
                shift = tf.cast(reshape(shift, [1, -1]), tf.float32)
            steps = steps + shift
        elif self.cape_mean_normalize:
            # QUIRK demucs/transformer.py:90: the mean of 0, 1, ... in float32.
            count = np.float32(length) if static else tf.cast(length, tf.float32)
            steps = steps - (count - 1) / 2
        if self.emb == "cape" and training and self.cape_augment:
            embedding = augmented(
                steps, size(xt, 0), self.cape_glob_loc_scale, self.dim, self.max_period
            )
            return self._constant(embedding)
        embedding = self._constant(sin_embedding(steps, self.dim, self.max_period))
        return tf.tile(embedding, [1, size(xt, 0), 1]) if self.emb == "cape" else embedding

    def _constant(self, embedding: Any) -> Any:
        return tf.cast(embedding, self.compute_dtype)


def _is_zero(shift: Any) -> bool:
    """Whether a shift is known, and known to be zero."""
    return isinstance(shift, int) and shift == 0
