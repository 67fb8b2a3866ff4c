"""Arrays whose memory TensorFlow takes as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_BYTES = 64  # of which its tensors begin at a multiple; NumPy's begin at one of 16


def aligned(array: Array, dtype: str) -> Array:
    """A copy in C order that becomes a tensor without being copied once more."""
    wanted = np.dtype(dtype)
    room = np.empty(array.size * wanted.itemsize + _BYTES, np.uint8)
    start = -room.ctypes.data % _BYTES
    copy = room[start : start + array.size * wanted.itemsize].view(wanted).reshape(array.shape)
    copy[...] = array
    return copy
