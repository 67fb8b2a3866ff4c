"""Faults of the cross-domain transformer: positions, tokens, the order of its parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from demucs_tf.blocks import embedding, transformer
from demucs_tf.blocks.embedding import ScaledEmbedding
from demucs_tf.blocks.transformer import CrossTransformerEncoder, CrossTransformerEncoderLayer
from demucs_tf.layers import shape
from demucs_tf.models import htdemucs
from parity.core.mutate import Faults
from parity.faults.change import no_shift, tanh_gelu, with_attributes

fault = Faults()
_PLAIN, _WIDE = "htdemucs-plain", "htdemucs-wide"
_POSITIONS = "^crosstransformer:positions "
_SINES, _SINES_2D = (transformer, "sin_embedding"), (transformer, "sin_embedding_2d")
_ADD = (CrossTransformerEncoder, "_add_float32")
# The originals, before anything is replaced.
_sin_embedding, _sin_embedding_2d = embedding.sin_embedding, embedding.sin_embedding_2d
_cross = CrossTransformerEncoderLayer.call

# Positions


@fault("positions-sines-first", _PLAIN, _POSITIONS, replaces=_SINES)
def sines_first(positions: Any, dim: int, max_period: float) -> Any:
    return np.roll(_sin_embedding(positions, dim, max_period), dim // 2, -1)


@fault("positions-float64", _PLAIN, _POSITIONS, replaces=_SINES, beyond_float32=True)
def sin_embedding_float64(positions: Any, dim: int, max_period: float) -> Any:
    half = dim // 2
    periods = max_period ** (np.arange(half) / (half - 1))
    phase = np.asarray(positions, np.float64)[..., None] / periods
    return np.concatenate([np.cos(phase), np.sin(phase)], -1)


@fault("positions-2d-halves-swapped", _PLAIN, "^crosstransformer:positions_2d ", replaces=_SINES_2D)
def halves_swapped(dim: int, height: int, width: Any, max_period: float, _one: Any) -> Any:
    return np.roll(_sin_embedding_2d(dim, height, width, max_period), dim // 2, -1)


@fault(
    "positions-2d-not-interleaved", _PLAIN, "^crosstransformer:positions_2d ", replaces=_SINES_2D
)
def not_interleaved(dim: int, height: int, width: Any, max_period: float, _one: Any) -> Any:
    x = _sin_embedding_2d(dim, height, width, max_period)
    quarters = x.reshape(*x.shape[:2], 2, dim // 4, 2)
    return np.moveaxis(quarters, -1, -2).reshape(x.shape)


@fault(
    "periods-correctly-rounded",
    _WIDE,
    _POSITIONS,
    replaces=(embedding, "_periods"),
    beyond_float32=True,
)
def rounded_periods(dim: int, max_period: float) -> Any:
    exponent = np.arange(dim // 2, dtype=np.float32) / np.float32(dim // 2 - 1)
    return (max_period ** exponent.astype(np.float64)).astype(np.float32)


@fault(
    "frequencies-correctly-rounded",
    _WIDE,
    "^crosstransformer:positions_2d ",
    replaces=(embedding, "_frequencies"),
    beyond_float32=True,
)
def rounded_frequencies(dim: int, max_period: float) -> Any:
    exponent = np.arange(0, dim // 2, 2, dtype=np.float32)
    exponent *= np.float32(-np.log(max_period) / (dim // 2))
    return np.exp(exponent.astype(np.float64)).astype(np.float32)


fault("position-weight-ignored", "htdemucs-period", "^crosstransformer:position ", replaces=_ADD)(
    lambda self, position, x: x + position
)
fault(
    "position-weight-float64",
    "htdemucs-period",
    "^crosstransformer:position ",
    replaces=_ADD,
    beyond_float32=True,
)(CrossTransformerEncoder._add)
fault(
    "random-shift-ignored",
    "htdemucs-random-shift",
    _POSITIONS,
    replaces=(CrossTransformerEncoder, "draw_shift"),
)(no_shift)
fault(
    "cape-not-centred",
    "htdemucs-cape",
    _POSITIONS,
    replaces=(CrossTransformerEncoder, "_sinusoids"),
)(with_attributes(CrossTransformerEncoder._sinusoids, cape_mean_normalize=False))
fault(
    "position-embedding-times-10",
    "htdemucs-scaled",
    r"^freq_emb:scale|^crosstransformer\.position_embeddings:scale ScaledEmbedding$",
    replaces=(ScaledEmbedding, "call"),
)(with_attributes(ScaledEmbedding.call, factor=9.0))

# Tokens and layers

fault(
    "tokens-frequency-major",
    _PLAIN,
    "^crosstransformer:tokens ",
    replaces=(CrossTransformerEncoder, "_tokens"),
)(lambda self, x: tf.reshape(x, [x.shape[0], -1, x.shape[3]]))


@fault(
    "cross-norms-swapped",
    _PLAIN,
    r"^crosstransformer\.layers\.1 CrossTransformerEncoderLayer$",
    replaces=(CrossTransformerEncoderLayer, "call"),
    in_pass=r"^crosstransformer\.layers\.1\.norm1 LayerNorm$",
)
def norms_swapped(self: Any, q: Any, k: Any) -> Any:
    self.norm1, self.norm2 = self.norm2, self.norm1
    try:
        return _cross(self, q, k)
    finally:
        self.norm1, self.norm2 = self.norm2, self.norm1


fault("transformer-gelu-tanh", _PLAIN, r"layers\.0:activation ", replaces=(transformer, "gelu"))(
    tanh_gelu
)
fault(
    "segment-padded-in-front",
    "htdemucs-shorter",
    "^:pad HTDemucs$",
    replaces=(htdemucs, "pad_axis"),
)(lambda x, left, right, axis: shape.pad_axis(x, right, left, axis))
