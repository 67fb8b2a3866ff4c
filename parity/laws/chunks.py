"""Relations of a split track to its chunks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core.compare import UNIT_ROUNDOFF
from parity.laws.measure import Measure
from parity.laws.relation import Found, NotDecided

Array = npt.NDArray[Any]

LONGEST = 1.0  # seconds of a chunk
STRIDE = 0.75  # of a chunk, until the next one begins: an overlap of a quarter


def whole(measure: Measure, dtype: str) -> Found:
    """Split and whole are the same for a track of one chunk, but for (w x) / w: two roundings."""
    _check_ours(measure)
    model, mix = measure.models[dtype], measure.mix.astype(dtype)
    # Behind three quarters of a segment the next chunk begins.
    length = min(mix.shape[-1], int(STRIDE * float(model.segment) * model.samplerate))
    split, unsplit = (_applied(model, mix[..., :length], split=each) for each in (True, False))
    return split, unsplit, [2 * UNIT_ROUNDOFF[dtype]] * len(mix)


def chunks(measure: Measure, dtype: str) -> Found:
    """Where only the second chunk is, a split track is what the model makes of that chunk."""
    _check_ours(measure)
    if measure.config.to_dict().get("t_sin_random_shift"):
        raise NotDecided("the model draws its positions at random in each pass")
    model, rate = measure.models[dtype], measure.models[dtype].samplerate
    segment = _segment(measure)
    size = int(segment * rate)
    stride = int(STRIDE * size)
    mix = _longer(measure.mix[:1], 2 * stride + size // 2)
    out = _applied(model, mix.astype(dtype), split=True, segment=segment)
    given = _valid_length(model, size)
    start = stride - (given - size) // 2  # real neighbours on both sides
    padded = np.pad(mix, ((0, 0), (0, 0), (given, given)))
    chunk = padded[..., given + start : given + start + given]
    where = slice(size, 2 * stride)  # behind the first chunk, before the third
    inner = slice(where.start - start, where.stop - start)
    return out[..., where], measure.truth(chunk)[..., inner], measure.bounds(chunk, dtype)


def _check_ours(measure: Measure) -> None:
    if measure.config is None:
        raise NotDecided("only models of Demucs are applied to chunks")


def _segment(measure: Measure) -> float:
    return min(float(measure.models["float32"].segment), LONGEST)


def _valid_length(model: Any, size: int) -> int:
    """How long a chunk's input is: see `demucs_tf.inference.single.Model`."""
    if hasattr(model, "training_length") or not hasattr(model, "valid_length"):
        return size
    return int(model.valid_length(size))


def _longer(mix: Array, length: int) -> Array:
    """A mixture of that length: as it is, then backwards, and so on, which has no steps."""
    times = math.ceil(length / mix.shape[-1])
    return np.concatenate([mix[..., :: (-1) ** k] for k in range(times)], axis=-1)[..., :length]


def _applied(model: Any, mix: Array, **options: Any) -> Array:
    from demucs_tf.inference.apply import apply_model

    return np.asarray(apply_model(model, mix, shifts=0, overlap=1 - STRIDE, seed=0, **options))
