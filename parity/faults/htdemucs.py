"""Known porting faults of the transformer, see `parity/faults/demucs.py`."""

from __future__ import annotations

from demucs_tf.blocks import transformer
from demucs_tf.layers import attention, embedding, norm
from demucs_tf.models import htdemucs
from parity.faults import wrong, wrong_hybrid
from parity.faults.fault import Fault

_PLAIN = "htdemucs-plain"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "positions-sines-first",
        _PLAIN,
        "^crosstransformer:positions ",
        transformer,
        "sin_embedding",
        wrong_hybrid.sines_first,
    ),
    Fault(
        "positions-float64",
        _PLAIN,
        "^crosstransformer:positions ",
        transformer,
        "sin_embedding",
        wrong_hybrid.sin_embedding_float64,
    ),
    Fault(
        "positions-2d-halves-swapped",
        _PLAIN,
        "^crosstransformer:positions_2d ",
        transformer,
        "sin_embedding_2d",
        wrong_hybrid.halves_swapped,
    ),
    Fault(
        "positions-2d-not-interleaved",
        _PLAIN,
        "^crosstransformer:positions_2d ",
        transformer,
        "sin_embedding_2d",
        wrong_hybrid.not_interleaved,
    ),
    Fault(
        "tokens-frequency-major",
        _PLAIN,
        "^crosstransformer:tokens ",
        transformer.CrossTransformerEncoder,
        "_tokens",
        wrong_hybrid.tokens_frequency_major,
    ),
    Fault(
        "position-weight-ignored",
        "htdemucs-period",
        "^crosstransformer:position ",
        transformer.CrossTransformerEncoder,
        "_add_float32",
        lambda self, position, x: x + position,
    ),
    Fault(
        "position-weight-float64",
        "htdemucs-period",
        "^crosstransformer:position ",
        transformer.CrossTransformerEncoder,
        "_add_float32",
        transformer.CrossTransformerEncoder._add,
    ),
    Fault(
        "random-shift-ignored",
        "htdemucs-random-shift",
        "^crosstransformer:positions ",
        transformer.CrossTransformerEncoder,
        "draw_shift",
        wrong_hybrid.shift_ignored,
    ),
    Fault(
        "cape-not-centred",
        "htdemucs-cape",
        "^crosstransformer:positions ",
        transformer.CrossTransformerEncoder,
        "_sinusoids",
        wrong.with_attributes(
            transformer.CrossTransformerEncoder._sinusoids, cape_mean_normalize=False
        ),
    ),
    Fault(
        "position-embedding-times-10",
        "htdemucs-scaled",
        r"^freq_emb:scale|^crosstransformer\.position_embeddings:scale ScaledEmbedding$",
        embedding.ScaledEmbedding,
        "call",
        wrong.with_attributes(embedding.ScaledEmbedding.call, factor=9.0),
    ),
    Fault(
        "multihead-unscaled",
        _PLAIN,
        r"self_attn:heads MultiheadAttention$",
        attention.MultiheadAttention,
        "_attend",
        wrong_hybrid.attend(scale=lambda width: 1.0),
    ),
    Fault(
        "multihead-scaled-by-model-width",
        _PLAIN,
        r"self_attn:heads MultiheadAttention$",
        attention.MultiheadAttention,
        "_attend",
        wrong_hybrid.attend(scale=lambda width: (2 * width) ** -0.5),
    ),
    Fault(
        "multihead-softmax-over-queries",
        _PLAIN,
        r"self_attn:heads MultiheadAttention$",
        attention.MultiheadAttention,
        "_attend",
        wrong_hybrid.attend(axis=-2),
    ),
    Fault(
        "multihead-heads-interleaved",
        _PLAIN,
        r"self_attn:heads MultiheadAttention$",
        attention.MultiheadAttention,
        "_split",
        wrong_hybrid.split_interleaved,
    ),
    Fault(
        "multihead-key-and-value-swapped",
        _PLAIN,
        r"self_attn:k MultiheadAttention$",
        attention.MultiheadAttention,
        "_project",
        wrong_hybrid.project_in_turn((0, 2, 1)),
    ),
    Fault(
        "norm-out-by-position",
        _PLAIN,
        r"norm_out MyGroupNorm$",
        norm.GroupNorm,
        "call",
        wrong_hybrid.by_position,
    ),
    Fault(
        "layernorm-keras-epsilon",
        _PLAIN,
        r"^crosstransformer\.norm_in LayerNorm$",
        norm.LayerNorm,
        "call",
        wrong.with_attributes(norm.LayerNorm.call, epsilon=1e-3),
    ),
    Fault(
        "cross-norms-swapped",
        _PLAIN,
        r"^crosstransformer\.layers\.1 CrossTransformerEncoderLayer$",
        transformer.CrossTransformerEncoderLayer,
        "call",
        wrong_hybrid.norms_swapped,
    ),
    Fault(
        "transformer-gelu-tanh",
        _PLAIN,
        r"layers\.0:activation ",
        transformer,
        "gelu",
        wrong_hybrid.gelu_tanh,
    ),
    Fault(
        "segment-padded-in-front",
        "htdemucs-shorter",
        "^:pad HTDemucs$",
        htdemucs,
        "pad_axis",
        wrong_hybrid.pad_in_front,
    ),
)
