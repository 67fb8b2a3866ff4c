"""Tracks in blocks: what is looked at together where nothing else says how much."""

from __future__ import annotations

from collections.abc import Iterator
from types import EllipsisType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Range = tuple[EllipsisType, slice]

BLOCK = 1 << 18  # samples of time: 6 s at 44.1 kHz


class Samples(Protocol):
    """(..., T), of which ranges of samples can be had: an array, or what stands for one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The last axis is time."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""

    def __getitem__(self, key: Range, /) -> Array:
        """`samples[..., start:stop]`, 0 <= start <= stop <= T."""


def blocks_of(samples: Samples, size: int = BLOCK) -> Iterator[Array]:
    """Yield all samples in order, `size` at a time."""
    for start in range(0, samples.shape[-1], size):
        yield samples[..., start : min(start + size, samples.shape[-1])]
