"""What stands for the samples of a whole track without holding them all in memory.

Everything here has a `shape`, a `dtype`, and gives a range of samples as an array of its own:
`track[..., 100:200]` (see `Samples`). A NumPy array does the same, so the code that cuts a track
into chunks does not know which of them it has.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from demucs_tf.audio.convert import Array, Range, Samples, blocks_of
from demucs_tf.errors import AudioError
from demucs_tf.utils.atomic import Closing

# For `np.errstate`: infinite samples are dealt with where they come out.
SILENT: Any = {"over": "ignore", "invalid": "ignore"}


class Store(Samples, Protocol):
    """Samples that can be written, too."""

    def __setitem__(self, key: Range, value: Array, /) -> None:
        """`store[..., start:stop] = value`."""


# Makes room, until the end of a `with` block, for (..., T) samples of a dtype, all of which are
# written before they are read.
Allocate = Callable[[tuple[int, ...], np.dtype[Any]], AbstractContextManager[Store]]


def in_memory(shape: tuple[int, ...], dtype: np.dtype[Any]) -> AbstractContextManager[Store]:
    """An `Allocate` for tracks that are held in memory anyway."""
    return nullcontext(np.empty(shape, dtype))


def as_array(samples: Any) -> Array:
    """An array of what is one already, or of a tensor: of torch's wherever and whatever for."""
    if hasattr(samples, "detach"):
        samples = samples.detach().cpu()
        if "bfloat16" in str(samples.dtype):  # which NumPy does not have
            samples = samples.float()
    return np.asarray(samples)


class ZeroPadded:
    """`samples` with `margin` zeros on either side."""

    def __init__(self, samples: Samples, margin: int) -> None:
        self.samples = samples
        self.margin = margin
        self.dtype = samples.dtype
        self.shape = (*samples.shape[:-1], samples.shape[-1] + 2 * margin)

    def __getitem__(self, key: Range) -> Array:
        start, stop = (edge - self.margin for edge in _edges(key))
        inside = self.samples[..., _within(start, self.samples) : _within(stop, self.samples)]
        left = min(max(0, -start), stop - start)
        right = stop - start - left - inside.shape[-1]
        return np.pad(inside, [(0, 0)] * (len(self.shape) - 1) + [(left, right)])


def _within(position: int, samples: Samples) -> int:
    return min(max(0, position), samples.shape[-1])


class Levelled:
    """`samples` less `mean`, divided by `std`, with an axis in front: (A, T) -> (1, A, T)."""

    def __init__(self, samples: Samples, mean: Any, std: Any) -> None:
        self.samples = samples
        self.mean = mean
        self.std = std
        self.dtype = samples.dtype
        self.shape = (1, *samples.shape)

    def __getitem__(self, key: Range) -> Array:
        return ((self.samples[key] - self.mean) / self.std)[None]


def track_statistics(wav: Samples) -> tuple[Any, Any]:
    """Mean and deviation of the mono mix, as scalars of wav's dtype, added up in float64.

    The deviation is unbiased and the epsilon is added outside the root.

    Raises:
        AudioError: they overflow.

    Reference: demucs/api.py:269-271
    """
    count = wav.shape[-1]
    with np.errstate(**SILENT):
        mean = sum(block.mean(0).sum(dtype=np.float64) for block in blocks_of(wav)) / count
        squares = sum(np.square(block.mean(0) - mean).sum() for block in blocks_of(wav))
        std = np.sqrt(squares / (count - 1))
        scalar = wav.dtype.type
        level = scalar(mean), scalar(std) + scalar(1e-8)
    if not np.isfinite(level).all():
        raise AudioError(
            f"wav has samples that are too large to work with in {wav.dtype}: full scale is 1."
        )
    return level


class DiskArray(Closing):
    """(..., T) samples in a temporary file without a name, which is gone with the process.

    It is read and written explicitly: the pages of a mapped file would count as memory in use.

    Args:
        shape: T may be 0 and grow by `append`.
        dtype: of the samples.
        folder: where to make the file; None: the system's folder for temporary files.

    Raises:
        OSError: the disk is full, or the folder is not writable.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], folder: Path | None = None
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._bytes = math.prod(shape[:-1]) * self.dtype.itemsize  # of one sample of time
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 -- closed by close()

    def __getitem__(self, key: Range) -> Array:
        start, stop = _edges(key)
        self._file.seek(start * self._bytes)
        data = self._file.read((stop - start) * self._bytes)
        array = np.frombuffer(data, self.dtype).reshape(-1, *self.shape[:-1])
        return np.ascontiguousarray(np.moveaxis(array, 0, -1))

    def __setitem__(self, key: Range, value: Array) -> None:
        start, _ = _edges(key)
        self._file.seek(start * self._bytes)
        self._file.write(np.ascontiguousarray(np.moveaxis(value, -1, 0), self.dtype).data)

    def append(self, block: Array) -> None:
        """Write `block` (..., n) behind what is there."""
        start = self.shape[-1]
        self.shape = (*self.shape[:-1], start + block.shape[-1])
        self[..., start : self.shape[-1]] = block

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _edges(key: Range) -> tuple[int, int]:
    return key[1].start, key[1].stop
