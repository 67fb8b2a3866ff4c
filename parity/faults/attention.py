"""Faults of local and of multi-head attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from demucs_tf.blocks.local_state import LocalState
from demucs_tf.layers.attention import MultiheadAttention
from parity.core.mutate import Faults
from parity.faults.change import in_step, without_step

fault = Faults()

# Local attention

_LOCAL = "demucs-attention"
_STEP, _PENALISE = (LocalState, "step"), (LocalState, "_penalise")

fault("attention-unscaled", _LOCAL, ":scores LocalState$", replaces=(LocalState, "_scores"))(
    lambda self, keys, queries: tf.einsum("bthc,bshc->bhst", keys, queries)
)
fault("attention-softmax-over-queries", _LOCAL, ":weights LocalState$", replaces=_STEP)(
    in_step("weights")(lambda scores: tf.nn.softmax(scores, axis=2))
)


def penalty(own: float = -100.0, square_root: bool = True, half: float = 2.0) -> Callable[..., Any]:
    def penalise(self: Any, decays: Any, rates: Any, delta: Any, scores: Any) -> Any:
        mixed = tf.einsum("bshn,n->bhs", tf.sigmoid(decays) / half, rates)
        scale = self.ndecay**0.5 if square_root else self.ndecay
        scores = scores - mixed[..., None] * (tf.abs(delta) / tf.constant(scale, scores.dtype))
        if own == 0:
            return scores
        return tf.where(tf.equal(delta, 0), tf.constant(own, scores.dtype), scores)

    return penalise


fault("attention-own-key-not-masked", _LOCAL, ":penalty LocalState$", replaces=_PENALISE)(
    penalty(own=0)
)
fault("attention-own-key-masked-with-infinity", _LOCAL, ":penalty LocalState$", replaces=_PENALISE)(
    penalty(own=-1e9)
)
fault("attention-decay-without-root", _LOCAL, ":penalty LocalState$", replaces=_PENALISE)(
    penalty(square_root=False)
)
fault("attention-decay-not-halved", _LOCAL, ":penalty LocalState$", replaces=_PENALISE)(
    penalty(half=1.0)
)
fault("attention-residual-dropped", _LOCAL, ":skip LocalState$", replaces=_STEP)(
    without_step("skip")
)

# Multi-head attention

_TRANSFORMER, _HEADS = "htdemucs-plain", "self_attn:heads MultiheadAttention$"
_ATTEND = (MultiheadAttention, "_attend")
_project = MultiheadAttention._project


def attend(
    scale: Callable[[int], float] = lambda width: width**-0.5, axis: int = -1
) -> Callable[..., Any]:
    def attend_(self: Any, q: Any, k: Any, v: Any) -> Any:
        q, k, v = self._split(q), self._split(k), self._split(v)
        factor = tf.constant(scale(self.embed_dim // self.num_heads), q.dtype)
        scores = tf.matmul(q * factor, k, transpose_b=True)
        return tf.transpose(tf.matmul(tf.nn.softmax(scores, axis), v), [0, 2, 1, 3])

    return attend_


fault("multihead-unscaled", _TRANSFORMER, _HEADS, replaces=_ATTEND)(attend(lambda width: 1.0))
fault("multihead-scaled-by-model-width", _TRANSFORMER, _HEADS, replaces=_ATTEND)(
    attend(lambda width: (2 * width) ** -0.5)
)
fault("multihead-softmax-over-queries", _TRANSFORMER, _HEADS, replaces=_ATTEND)(attend(axis=-2))


@fault("multihead-heads-interleaved", _TRANSFORMER, _HEADS, replaces=(MultiheadAttention, "_split"))
def every_other_channel(self: Any, x: Any, turned: bool = False) -> Any:
    """Heads take every H-th channel."""
    x = tf.reshape(x, [x.shape[0], x.shape[1], -1, self.num_heads])
    return tf.transpose(x, [0, 3, 2, 1] if turned else [0, 3, 1, 2])


fault(
    "multihead-key-and-value-swapped",
    _TRANSFORMER,
    r"self_attn:k MultiheadAttention$",
    replaces=(MultiheadAttention, "_project"),
)(lambda self, x, index: _project(self, x, (0, 2, 1)[index]))
