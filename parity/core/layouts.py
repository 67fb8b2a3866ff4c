"""Which axes a tensor has in the reference and in the port.

"BCT" is the same on both sides; "BCT>BTC" is (B, C, T) in the reference and (B, T, C) in the port.
Letters: B batch (or batch times frames or frequencies), S source, A audio channel, C channel,
F frequency, T time, R real and imaginary part (a complex number in the reference), H head, D hidden
size, L layer and direction, Q query, K key, N decay rate. Which tensor has which: `Subject`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core.compare import BLOCK, in_threads

Array = npt.NDArray[Any]

Layouts = tuple[tuple[str, ...], tuple[str, ...]]
_PARTS = 4  # of a large tensor, which are rearranged in threads


def to_port(array: Array, layout: str) -> Array:
    """Rearrange a tensor of the reference as the port has it."""
    reference, _, port = layout.partition(">")
    return _move(array, reference, port or reference)


def to_reference(array: Array, layout: str) -> Array:
    """Rearrange a tensor of the port as the reference has it."""
    reference, _, port = layout.partition(">")
    return _move(array, port or reference, reference)


def _move(array: Array, start: str, end: str) -> Array:
    if array.ndim != len(start) or sorted(start) != sorted(end):
        return array  # the comparator reports the wrong rank; nothing is bent to fit
    if not array.ndim:
        return array
    moved = np.transpose(array, [start.index(axis) for axis in end])
    if moved.flags.c_contiguous or moved.size <= BLOCK:
        return np.ascontiguousarray(moved)
    out = np.empty(moved.shape, moved.dtype)
    longest = int(np.argmax(moved.shape[:2]))
    parts = (np.array_split(np.moveaxis(x, longest, 0), _PARTS) for x in (out, moved))
    in_threads(np.copyto, *parts)
    return out
