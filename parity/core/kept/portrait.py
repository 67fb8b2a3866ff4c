"""What a tensor's error looks like: where it is, and how many last places it takes."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core.compare import BLOCK, in_threads, inner, spacing
from parity.core.files import json_file

Array = npt.NDArray[Any]

HIGH, WIDE = 32, 96  # cells of a picture at most
LEVELS = 15  # above 0, which is for what is equal or fainter than the faintest
STEP = 3.0  # dB from one level to the next
COUNTED = 2**14  # numbers of a tensor whose last places are counted; of a larger one every n-th
BINS = 26  # of last places: 0, 1, 2-3, 4-7, ..., 2**24 and more
# The axes of a layout by which a picture goes down and across: the first that are there.
DOWN, ACROSS = "CDFQSALHN", "TKFRN"
NAMES = {
    "B": "item", "S": "source", "A": "audio channel", "C": "channel", "F": "frequency",
    "T": "time", "R": "part", "H": "head", "D": "width", "L": "layer", "Q": "query", "K": "key",
    "N": "rate",
}  # fmt: skip


@dataclass(frozen=True)
class Portrait:
    """The error of one compared tensor over two of its axes, and how many last places it takes.

    Attributes:
        path, call, output, mode: those of its record.
        down, across: what the picture's axes are, and how many there were of each.
        high, wide: cells.
        cells: a level for each, row by row: the largest error in the cell. `LEVELS` is the largest
            of all, each level below it `STEP` dB less, 0 what is fainter still or equal.
        top_db: the largest error over the reference's RMS.
        last_places: how many numbers are off by 0, 1, 2-3, 4-7, ... units in the last place, of
            large tensors of every n-th.
    """

    path: str
    call: int
    output: int
    mode: str
    down: tuple[str, int]
    across: tuple[str, int]
    high: int
    wide: int
    cells: bytes
    top_db: float
    last_places: tuple[int, ...]

    def plain(self) -> dict[str, Any]:
        """As a file keeps it."""
        packed = base64.b64encode(zlib.compress(self.cells, 9)).decode("ascii")
        return {**vars(self), "cells": packed}


def of_plain(values: Mapping[str, Any]) -> Portrait:
    """Read what `plain` gave; one of `json_file.DAMAGED` for anything else."""
    down, across = ((str(name), int(size)) for name, size in (values["down"], values["across"]))
    top_db = json_file.number(values["top_db"])
    json_file.check(str, values["path"], values["mode"], values["cells"])
    json_file.check(int, *(values[key] for key in ("call", "output", "high", "wide")))
    json_file.check(int, *values["last_places"])
    json_file.check(float, top_db)
    high, wide = values["high"], values["wide"]
    try:
        packed = base64.b64decode(values["cells"], validate=True)
        cells = zlib.decompressobj().decompress(packed, HIGH * WIDE + 1)
    except zlib.error as error:
        raise ValueError(f"cells of a picture: {error}") from None
    if not (0 < high <= HIGH and 0 < wide <= WIDE and len(cells) == high * wide):
        raise ValueError(f"expected a picture of {high} by {wide} cells, found {len(cells)}")
    if max(cells) > LEVELS or len(values["last_places"]) != BINS:
        raise ValueError(f"expected levels up to {LEVELS} and {BINS} counts of last places")
    places = tuple(values["last_places"])
    changed = {"down": down, "across": across, "cells": cells, "top_db": top_db}
    return Portrait(**{**values, **changed, "last_places": places})


def portrait_of(
    actual: Array, expected: Array, layout: str, path: str, call: int, output: int, mode: str
) -> Portrait | None:
    """The portrait of a tensor that has the reference's axes; None where none can be drawn.

    `layout` names the axes, see `parity.core.layouts`; "" where nothing is known of them.
    """
    drawable = actual.shape == expected.shape and actual.size and actual.ndim
    if not drawable or not all(np.issubdtype(x.dtype, np.floating) for x in (actual, expected)):
        return None
    letters = layout.partition(">")[0]
    letters = letters if len(letters) == actual.ndim else ""
    down, across = _axes(letters, actual.ndim)
    names = [NAMES.get(letters[a], letters[a]) if letters else f"axis {a}" for a in (down, across)]
    cells = _cells(_worst(actual, expected, down, across))
    rms = _rms(expected)
    top = float(cells.max())
    return Portrait(
        path=path,
        call=call,
        output=output,
        mode=mode,
        down=(names[0], actual.shape[down]) if down != across else ("", 1),
        across=(names[1], actual.shape[across]),
        high=cells.shape[0],
        wide=cells.shape[1],
        cells=_levels(cells, top).tobytes(),
        top_db=_decibel(top) - _decibel(rms) if top and rms else (math.inf if top else -math.inf),
        last_places=_last_places(actual, expected),
    )


def _axes(letters: str, count: int) -> tuple[int, int]:
    """The axes that go down and across; the same twice where there is one alone."""
    if count == 1:
        return 0, 0
    across = next((letters.index(x) for x in ACROSS if x in letters), count - 1)
    rest = [x for x in DOWN if x in letters and letters.index(x) != across]
    return (letters.index(rest[0]) if rest else max(0, across - 1) or int(across == 0)), across


def _error(actual: Array, expected: Array) -> Array:
    """Absolute differences in float64, infinite where one side alone is no number."""
    with np.errstate(invalid="ignore"):
        error = actual.astype(np.float64, copy=False) - expected
    np.abs(error, out=error)
    if not np.isfinite(error.max()):  # a NaN is the largest
        broken = ~np.isfinite(error)
        a, e = actual[broken], expected[broken]
        error[broken] = np.where((a == e) | (np.isnan(a) & np.isnan(e)), 0, np.inf)
    return error


def _rms(expected: Array) -> float:
    """Of the finite numbers."""
    numbers = expected.reshape(-1).astype(np.float64, copy=False)
    energy = inner(numbers, numbers)
    if not np.isfinite(energy):
        numbers = numbers[np.isfinite(numbers)]
        energy = inner(numbers, numbers)
    return math.sqrt(energy / numbers.size) if numbers.size else 0.0


def _worst(actual: Array, expected: Array, down: int, across: int) -> Array:
    """The largest errors by those axes, of so many rows at a time as the cache holds."""
    if down == across:
        return _error(actual, expected)[None]
    a, e = (np.moveaxis(x, (down, across), (0, -1)) for x in (actual, expected))
    rows = max(1, BLOCK * len(a) // a.size)
    worst = np.empty((len(a), a.shape[-1]))

    def look(part: slice) -> None:
        _error(a[part], e[part]).max(axis=tuple(range(1, a.ndim - 1)), out=worst[part])

    in_threads(look, [slice(start, start + rows) for start in range(0, len(a), rows)])
    return worst


def _cells(table: Array) -> Array:
    """The largest error in each cell."""
    counts = [min(most, size) for most, size in zip((HIGH, WIDE), table.shape, strict=True)]
    # The axis first that has more numbers for each cell.
    for axis in sorted((1, 0), key=lambda axis: -table.shape[axis] / counts[axis]):
        starts = np.arange(counts[axis]) * table.shape[axis] // counts[axis]
        if axis:
            table = np.maximum.reduceat(table, starts, axis=1)
        else:  # `reduceat` goes number by number here
            table = np.stack([rows.max(axis=0) for rows in np.split(table, starts[1:])])
    return table


def _levels(cells: Array, top: float) -> Array:
    if not top:
        return np.zeros(cells.shape, np.uint8)
    relative = np.isinf(cells).astype(float) if math.isinf(top) else cells / top
    with np.errstate(divide="ignore"):
        levels = LEVELS + np.ceil(20 * np.log10(relative) / STEP - 1e-9)
    return np.asarray(np.clip(levels, 0, LEVELS), np.uint8)


def _decibel(level: float) -> float:
    return 20 * math.log10(level) if level else -math.inf


def _last_places(actual: Array, expected: Array) -> tuple[int, ...]:
    """How many numbers are off by 0, 1, 2-3, ... units in the last place of the reference's."""
    every = -(-actual.size // COUNTED)
    actual, expected = actual.reshape(-1)[::every], expected.reshape(-1)[::every]
    rounded = expected.astype(actual.dtype)
    with np.errstate(over="ignore"):  # beside an exact zero the spacing is the tiniest number
        near = np.where(np.isfinite(rounded), rounded, 1).astype(np.float64)
        places = _error(actual, rounded) / spacing(near, rounded.dtype)
    exponents = (places.view(np.int64) >> 52) - 1022  # as frexp's; infinity has the largest
    bins = np.where(places > 0, np.clip(exponents, 1, BINS - 1), 0)
    return tuple(np.bincount(bins.reshape(-1), minlength=BINS).tolist())
