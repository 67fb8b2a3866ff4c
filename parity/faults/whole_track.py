"""Faults around the layers: chunks, overlap, shifts, bags, level, loading."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from demucs_tf.checkpoints import weights
from demucs_tf.inference import separator, single
from demucs_tf.inference.chunks import TensorChunk
from demucs_tf.inference.single import Job
from demucs_tf.models import bag, ports
from demucs_tf.models.demucs import DemucsTF
from demucs_tf.models.htdemucs import HTDemucsTF
from parity.core.mutate import Faults
from parity.faults.change import no_shift

fault = Faults()
_APPLY, _TRACK = "^ apply_model$", "^ Separator$"
_WEIGHT, _TABLE = (single, "transition_weight"), (bag, "_table")
_LENGTHS, _LEVEL = (single, "segment_and_stride"), (separator, "track_statistics")
# The originals, before anything is replaced.
_padded, _table, _load_state = TensorChunk.padded, bag._table, weights.load_state
_lengths = single.segment_and_stride

# Chunks and shifts


@fault("chunks-padded-with-zeros", "apply-htdemucs", _APPLY, replaces=(TensorChunk, "padded"))
def chunk_padded_with_zeros(self: Any, target_length: int) -> Any:
    alone = self.tensor[..., self.offset : self.offset + self.length]
    return _padded(TensorChunk(alone), target_length)


fault("overlap-not-weighted", "apply-hdemucs", _APPLY, replaces=_WEIGHT)(
    lambda length, power, dtype, count: np.ones(count, dtype)
)


@fault("overlap-weight-from-zero", "apply-hdemucs", _APPLY, replaces=_WEIGHT)
def weight_from_zero(length: int, power: float, dtype: Any, count: int) -> Any:
    """Bartlett's triangle, which starts and ends at (next to) zero."""
    return np.maximum(np.bartlett(length), 1e-9).astype(dtype)[:count]


fault("segment-rule-ignored", "apply-htdemucs-segment", _APPLY, replaces=(Job, "_valid_length"))(
    lambda self, length: length
)


@fault("chunk-in-tens", "apply-hdemucs-odd-segment", _APPLY, replaces=_LENGTHS)
def lengths_in_tens(model: Any, settings: Any) -> tuple[int, int]:
    length, stride = _lengths(model, settings)
    return round(length, -1), stride


fault("position-shift-not-drawn", "apply-htdemucs", _APPLY, replaces=(HTDemucsTF, "draw_shift"))(
    no_shift
)

# Bags


@fault("bag-table-shifted", "apply-demucs-bag", _APPLY, replaces=_TABLE)
def shifted_table(weights: Any, members: int, sources: Any) -> Any:
    """Each specialist answers for its neighbour's source."""
    table = _table(weights, members, sources)
    return table[1:] + table[:1]


fault("bag-weights-ignored", "apply-htdemucs-bag", _APPLY, replaces=_TABLE)(
    lambda weights, members, sources: [[1.0] * len(sources)] * members
)


@fault("bag-members-see-one-shift", "apply-demucs-bag", _APPLY, replaces=(Job, "_draw_offset"))
def offset_of_the_first(self: Any) -> int:
    """Every member of a bag, and every shift, moved by the same."""
    return int(random.Random(0).randint(0, self._max_shift))


# The level of the track

fault("track-level-left", "apply-track", _TRACK, replaces=_LEVEL)(
    lambda wav: (wav.dtype.type(0), wav.dtype.type(1))
)


@fault("track-level-biased", "apply-track", _TRACK, replaces=_LEVEL)
def biased_level(wav: Any) -> tuple[Any, Any]:
    mono = wav.mean(0)
    return mono.mean(), mono.std() + wav.dtype.type(1e-8)


fault("track-level-of-all-channels", "apply-track", _TRACK, replaces=_LEVEL)(
    lambda wav: (wav.mean(), wav.std(ddof=1) + wav.dtype.type(1e-8))
)


# Loading


@fault(
    "loader-leaves-initial-weights",
    "demucs-norm-one-group",
    r"^decoder\.1\.\d ",
    replaces=(weights, "load_state"),
    in_pass=r"^decoder\.1\.\d\.bias ",
)
def last_weights_left(model: Any, state: Any) -> None:
    """A loader that is not strict: what it does not find stays as it was made."""
    last = list(state)[-1]
    kept = next(v for key, v, _ in weights.variables_with_rules(model) if key == last)
    before = np.asarray(kept)
    _load_state(model, state)
    kept.assign(before)


class DefaultGroups(DemucsTF):
    """A loader that ignores one constructor argument."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "norm_groups": 4})


fault(
    "loader-ignores-an-argument", "demucs-norm-one-group", " GroupNorm$", replaces=(ports, "PORTS")
)({**ports.PORTS, "demucs.demucs.Demucs": DefaultGroups})
