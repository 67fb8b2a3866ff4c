"""Keeps one copy of what is one call's output and the next one's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_LOOKED_AT = 64  # numbers by which arrays are told apart, before all of them are


class Shared:
    """Arrays of which there is one for each shape and content."""

    def __init__(self) -> None:
        self._known: dict[Any, list[Array]] = {}

    def one(self, array: Array) -> Array:
        """The array that came first of those with the same shape and bits; it must not change."""
        bits = _bits(array)
        some = bits[:: max(1, bits.size // _LOOKED_AT)].tobytes()
        alike = self._known.setdefault((array.shape, array.dtype, some), [])
        for known in alike:
            if np.array_equal(_bits(known), bits):
                return known
        alike.append(array)
        return array


def _bits(array: Array) -> Array:
    """Of contiguous numbers: zeros of either sign differ, and a NaN equals itself."""
    return array.reshape(-1).view(f"u{array.itemsize}")
