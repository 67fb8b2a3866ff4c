"""What the faults of `parity/faults/whole_track.py` put in the place of the port's own code."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from demucs_tf.checkpoints import weights
from demucs_tf.inference import chunks
from demucs_tf.models import bag
from demucs_tf.models.demucs import DemucsTF
from demucs_tf.models.ports import PORTS

_load_state = weights.load_state
_table = bag._table
_padded = chunks.TensorChunk.padded


def chunk_padded_with_zeros(self: Any, target_length: int) -> Any:
    alone = self.tensor[..., self.offset : self.offset + self.length]
    return _padded(chunks.TensorChunk(alone), target_length)


def weight_of_ones(length: int, power: float, dtype: Any) -> Any:
    return np.ones(length, dtype)


def weight_from_zero(length: int, power: float, dtype: Any) -> Any:
    """Bartlett's triangle, which starts and ends at (next to) zero."""
    return np.maximum(np.bartlett(length), 1e-9).astype(dtype)


def untouched_level(wav: Any) -> tuple[Any, Any]:
    return wav.dtype.type(0), wav.dtype.type(1)


def biased_level(wav: Any) -> tuple[Any, Any]:
    mono = wav.mean(0)
    return mono.mean(), mono.std() + wav.dtype.type(1e-8)


def level_of_all_channels(wav: Any) -> tuple[Any, Any]:
    return wav.mean(), wav.std(ddof=1) + wav.dtype.type(1e-8)


def shift_not_drawn(self: Any, generator: Any = None) -> int:
    return 0


def own_length(self: Any, length: int) -> int:
    return length


def shifted_table(weights: Any, members: int, sources: Any) -> Any:
    """Each specialist answers for its neighbour's source."""
    table = _table(weights, members, sources)
    return table[1:] + table[:1]


def table_of_ones(weights: Any, members: int, sources: Any) -> Any:
    return [[1.0] * len(sources)] * members


def offset_of_the_first(self: Any) -> int:
    """Every member of a bag, and every shift, moved by the same."""
    return int(random.Random(0).randint(0, self._max_shift))


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


ports_without_an_argument = {**PORTS, "demucs.demucs.Demucs": DefaultGroups}
