"""Faults of the hybrid models: level, embedding, the layers of both branches, bands."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.blocks import decoder, encoder, multiwrap
from demucs_tf.blocks.decoder import HDecLayer
from demucs_tf.blocks.embedding import ScaledEmbedding
from demucs_tf.blocks.encoder import HEncLayer
from demucs_tf.models import hybrid
from demucs_tf.models.hdemucs import HDemucsTF
from demucs_tf.models.hybrid import HybridModel
from parity.core.mutate import Faults
from parity.faults.change import in_step, inside_root, swapped_glu, tanh_gelu, with_attributes

fault = Faults()
_PLAIN, _MULTI = "hdemucs-plain", "hdemucs-multi"
_SEAM = (multiwrap, "_seam")
_seam = multiwrap._seam  # the original, before anything is replaced

# Level

fault("std-biased-hybrid", _PLAIN, "^:std HDemucs$", replaces=(hybrid, "unbiased_std"))(
    lambda x: tf.math.reduce_std(x, list(range(1, len(x.shape))), keepdims=True)
)
fault(
    "epsilon-inside-root-hybrid",
    "hdemucs-quiet",
    "^:normalize HDemucs$",
    replaces=(hybrid, "_normalize"),
)(inside_root)


@fault(
    "denormalize-with-epsilon",
    _PLAIN,
    "^:denormalize HDemucs$",
    replaces=(HybridModel, "_denormalize"),
)
def denormalize_with_epsilon(self: Any, x: Any, std: Any, mean: Any) -> Any:
    by_source = tf.reshape(x, [*x.shape[:3], len(self.sources), -1])
    return by_source * (std + 1e-5)[..., None] + mean[..., None]


# The embedding of frequencies

fault(
    "frequency-embedding-times-3",
    _PLAIN,
    "^freq_emb:scale ScaledEmbedding$",
    replaces=(ScaledEmbedding, "call"),
)(with_attributes(ScaledEmbedding.call, factor=3.0))
fault(
    "frequency-embedding-unweighted", _PLAIN, "^:embedding HDemucs$", replaces=(HybridModel, "step")
)(in_step("embedding")(lambda weight, x: x + weight[:, None]))


# Layers

fault("encoder-gelu-tanh", _PLAIN, "encoder.0:gelu HEncLayer$", replaces=(encoder, "gelu"))(
    tanh_gelu
)
fault("encoder-glu-swapped", _PLAIN, "encoder.0:glu HEncLayer$", replaces=(encoder, "glu"))(
    swapped_glu
)
fault("decoder-glu-swapped", _PLAIN, "decoder.0:glu HDecLayer$", replaces=(decoder, "glu"))(
    swapped_glu
)
fault("merge-dropped", _PLAIN, r"^encoder\.1:inject HEncLayer$", replaces=(HEncLayer, "step"))(
    in_step("inject")(lambda inject, y: y)
)
fault("rows-mixed", "hdemucs-dconv3", ":rows HEncLayer$", replaces=(HEncLayer, "step"))(
    in_step("rows")(lambda y: tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [-1, *y.shape[2:]]))
)
fault(
    "decoder-crop-shifted",
    "hdemucs-whole-hops",
    r"^t?decoder\.0:crop HDecLayer$",
    replaces=(HDecLayer, "step"),
)(in_step("crop")(lambda z: z[:, :-2]))


@fault("decoder-not-from-zeros", _PLAIN, "^:restart HDemucs$", replaces=(HDemucsTF, "_bottleneck"))
def not_from_zeros(self: Any, x: Any, xt: Any, **_: Any) -> tuple[Any, Any]:
    return self.step("restart", tf.identity, x), self.step("restart_t", tf.identity, x)


# Bands

fault("seam-with-both-biases", _MULTI, "^decoder.2:seam MultiWrap$", replaces=_SEAM)(
    lambda stride, bias: _seam(stride, 0 * bias)
)
fault("no-seam", _MULTI, "^decoder.2:seam MultiWrap$", replaces=_SEAM)(
    lambda stride, bias: lambda out, following: out
)
fault(
    "gelu-for-each-band",
    "hdemucs-multi-three-bands",
    r"decoder\.2\.layers\.0 HDecLayer$",
    replaces=(HDecLayer, "call"),
)(with_attributes(HDecLayer.call, last=False))
