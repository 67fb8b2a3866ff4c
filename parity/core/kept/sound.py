"""What can be heard of a comparison: the stems of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SHORTEST = 0.25  # seconds; less is no music


@dataclass(frozen=True, eq=False)
class Sound:
    """The stems of the first item of a batch.

    Attributes:
        rate: samples a second.
        names: of the stems.
        expected, actual: of the reference and of the port, (S, A, T).
        borders: samples at which a chunk of a whole track begins.
    """

    rate: int
    names: tuple[str, ...]
    expected: Array
    actual: Array
    borders: tuple[int, ...] = ()


def sound_of(rate: int, names: Sequence[str], expected: Array, actual: Array) -> Sound | None:
    """The stems in (B, S, A, T), if they are stems that can be heard; else None."""
    fits = expected.ndim == 4 and expected.shape == actual.shape and expected.shape[1] == len(names)
    if not fits or expected.shape[-1] < SHORTEST * rate or not np.isfinite(actual).all():
        return None
    return Sound(rate, tuple(names), expected[0], actual[0])
