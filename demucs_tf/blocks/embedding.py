"""Learnt and sinusoidal embeddings of positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from demucs_tf.layers import float32_math
from demucs_tf.layers.base import Layer, is_portable, weights_are_blank
from demucs_tf.layers.linear import Embedding
from demucs_tf.layers.shape import ceil_div, reshape

Float32 = npt.NDArray[np.float32]


class ScaledEmbedding(Layer):
    """An embedding times a constant, which makes it learn faster.

    The reference has two of these, with different constants: `scale` 10 for frequencies, `boost` 3
    in the transformer.

    Args:
        num_embeddings: N.
        embedding_dim: D.
        factor: the constant.
        init: standard deviation of the initial product.
        smooth: draw the initial embeddings as a random walk, so that neighbours are similar.

    Shape: integers (...) -> (..., D).

    Reference: demucs/hdemucs.py::ScaledEmbedding, demucs/transformer.py::ScaledEmbedding
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        factor: float,
        init: float = 1.0,
        smooth: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.factor = factor
        self.embedding = Embedding(num_embeddings, embedding_dim, dtype=self.dtype)
        if weights_are_blank():
            return
        weight = tf.convert_to_tensor(self.embedding.weight)
        if smooth:
            steps = tf.range(1, num_embeddings + 1, dtype=weight.dtype)
            weight = tf.cumsum(weight, 0) / tf.sqrt(steps)[:, None]
        self.embedding.weight.assign(weight * (init / factor))

    def call(self, index: Any) -> Any:
        return self.step("scale", lambda x: x * self.factor, self.embedding(index))


def sin_embedding(positions: Any, dim: int, max_period: float) -> Any:
    """Compute cosines, then sines, of positions at D / 2 frequencies.

    Args:
        positions: float32 (...), a NumPy array or a tensor.
        dim: D, even.
        max_period: period of the lowest frequency, over 2 pi.

    Returns:
        float32 (..., D), an array for an array and a tensor for a tensor.

    Reference: demucs/transformer.py::create_sin_embedding
    """
    # QUIRK demucs/transformer.py:27: float32, whatever the type of the model.
    periods = _periods(dim, max_period)
    if isinstance(positions, np.ndarray):
        phase = positions[..., None] / periods
        return np.concatenate([float32_math.cos(phase), float32_math.sin(phase)], -1)
    # In float64, because graphs turn a division by a constant into a product with its inverse.
    wide = tf.cast(positions, tf.float64)[..., None] / periods.astype(np.float64)
    phase = tf.cast(wide, tf.float32)
    return tf.concat([float32_math.cos(phase), float32_math.sin(phase)], -1)


# Converters work out whatever they know, and would put tables of all positions into every file. So
# in a portable graph these are products of matrices, which LiteRT's leaves alone, with a number
# `one` that depends on the batch, which ONNX's does not know.


def sin_embedding_of_steps(count: int, dim: int, max_period: float, one: Any = 1.0) -> Any:
    """Compute `sin_embedding` of 0, 1, ..., as a tensor, from tables that are much smaller.

    With p = W a + b, cos(p w) = cos(W a w) cos(b w) - sin(W a w) sin(b w), and so for the sine:
    one product of 2 x 2 for each frequency w.

    Returns:
        float32 (count, D).
    """
    width = 64
    frequencies = 1 / _periods(dim, max_period).astype(np.float64)[:, None]
    coarse = width * np.arange(ceil_div(count, width)) * frequencies  # (D / 2, A)
    fine = np.arange(width) * frequencies  # (D / 2, W)
    turned = np.stack([np.cos(coarse), np.sin(coarse)], -1)
    cos, sin = np.cos(fine), np.sin(fine)
    turns = np.stack([[cos, -sin], [sin, cos]], 1)  # (cosine or sine, 2, D / 2, W)
    left = np.concatenate([turned, turned]).astype(np.float32)  # (D, A, 2)
    right = np.concatenate(list(turns.transpose(1, 2, 0, 3))).astype(np.float32)  # (D, 2, W)
    waves = reshape(tf.matmul(left * one, right), [dim, -1])
    return tf.transpose(waves)[:count]


def augmented(
    steps: Any, batch: Any, glob_loc_scale: Sequence[float], dim: int, max_period: float
) -> Any:
    """Compute the sinusoids of `sin_embedding` for steps that were moved at random: "cape".

    The draws are the reference's, from NumPy's generator and in its order; those of a graph are
    TensorFlow's, as NumPy would draw but once.

    Args:
        steps: (T, 1), float32.
        batch: B, an int or, inside a graph, a tensor.
        glob_loc_scale: by how many steps an item, and each step, is moved at most; largest factor.
        dim: D, even.
        max_period: period of the lowest frequency, over 2 pi.

    Returns:
        float32 (T, B, D).

    Reference: demucs/transformer.py::create_sin_embedding_cape
    """
    glob, loc, scale = (float(each) for each in glob_loc_scale)
    length = steps.shape[0] if steps.shape[0] is not None else tf.shape(steps)[0]
    eager = tf.executing_eagerly()

    def draw(bound: float, rows: Any) -> Any:
        if eager:
            return np.random.uniform(-bound, bound, (rows, batch, 1))  # noqa: NPY002
        return tf.random.uniform([rows, batch, 1], -bound, bound, tf.float64)

    moved = tf.cast(steps, tf.float64)[..., None] + draw(glob, 1)
    moved = (moved + draw(loc, length)) * tf.exp(tf.cast(draw(math.log(scale), 1), tf.float64))
    phase = moved / _periods(dim, max_period).astype(np.float64)
    return tf.cast(tf.concat([tf.cos(phase), tf.sin(phase)], -1), tf.float32)


def sin_embedding_2d(dim: int, height: int, width: Any, max_period: float, one: Any = 1.0) -> Any:
    """Compute sines and cosines in turn: of the column in the first half, of the row in the second.

    Args:
        dim: D, a multiple of 4.
        height: number of rows F.
        width: number of columns T, an int or, inside a graph, a tensor.
        max_period: period of the lowest frequency, over 2 pi.
        one: the number 1, for portable graphs.

    Returns:
        float32 (T, F, D), an array or a tensor.

    Reference: demucs/transformer.py::create_2d_sin_embedding
    """
    frequencies = _frequencies(dim, max_period)
    rows = _interleaved(np.arange(height, dtype=np.float32)[:, None] * frequencies)
    if isinstance(width, int):
        columns = _interleaved(np.arange(width, dtype=np.float32)[:, None] * frequencies)
        broadcast, concatenate = np.broadcast_to, np.concatenate
    else:
        columns = _interleaved(tf.cast(tf.range(width), tf.float32)[:, None] * frequencies)
        broadcast, concatenate = tf.broadcast_to, tf.concat
    shape = (width, height, dim // 2)
    if is_portable():
        return _joined(columns, rows, one * tf.ones([*shape[:2], 1]))
    return concatenate([broadcast(columns[:, None], shape), broadcast(rows[None], shape)], -1)


def _joined(columns: Any, rows: Any, ones: Any) -> Any:
    """Repeat and join both embeddings, `ones` being (T, F, 1): (T, F, D)."""
    columns = tf.matmul(ones, tf.convert_to_tensor(columns)[:, None])
    rows = tf.matmul(tf.transpose(ones, [1, 0, 2]), rows[:, None])
    return tf.concat([columns, tf.transpose(rows, [1, 0, 2])], -1)


@lru_cache(maxsize=8)
def _periods(dim: int, max_period: float) -> Float32:
    """Work out the periods, over 2 pi, of `sin_embedding`: (D / 2). Read-only."""
    half = dim // 2
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 at half = 1, as in the reference
        exponent = np.arange(half, dtype=np.float32) / np.float32(half - 1)
    periods = float32_math.power(max_period, exponent)
    periods.flags.writeable = False
    return periods


@lru_cache(maxsize=8)
def _frequencies(dim: int, max_period: float) -> Float32:
    """Work out the frequencies of `sin_embedding_2d`: (D / 4). Read-only."""
    half = dim // 2
    # QUIRK demucs/transformer.py:52: torch's float32 exponential, which is not correctly rounded.
    exponent = np.arange(0, half, 2, dtype=np.float32) * np.float32(-math.log(max_period) / half)
    frequencies = float32_math.exp(exponent)
    frequencies.flags.writeable = False
    return frequencies


def _interleaved(phase: Any) -> Any:
    """Put sine and cosine of a phase in turn: (L, D / 4) -> (L, D / 2)."""
    both = [float32_math.sin(phase), float32_math.cos(phase)]
    if isinstance(phase, np.ndarray):
        return np.stack(both, -1).reshape(len(phase), 2 * phase.shape[-1])
    return reshape(tf.stack(both, -1), [-1, 2 * phase.shape[-1]])
