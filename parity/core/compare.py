"""The one comparator: everything that holds two arrays against each other calls `compare`."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Unit round-off; a tensor that the reference itself gets right to the last bit has a floor of 0,
# and its noise ratio is taken over this instead.
UNIT_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}
# Infinity has the bits of the exponent, and no others.
_EXPONENT = {
    "float32": np.float32(np.inf).view(np.int32),
    "float64": np.float64(np.inf).view(np.int64),
}
# Numbers that a thread looks at at a time, however many threads there are: so sums are the same.
# What is made of them stays in the cache; of fewer, threads wait for each other.
BLOCK = 2**17


@dataclass(frozen=True)
class Difference:
    """How far `actual` is from `expected`. Metrics are None where they have no meaning.

    `passed` holds the verdict, `reason` says why not. All metrics are taken in float64.
    """

    passed: bool
    reason: str = ""
    max_abs: float | None = None
    max_abs_index: tuple[int, ...] | None = None
    rel_l2: float | None = None
    max_ulp: float | None = None
    snr_db: float | None = None
    si_sdr_db: float | None = None
    noise_ratio: float | None = None


def compare(
    actual: Array, expected: Array, tolerance: float, floor: float = 0.0, dtype: str = ""
) -> Difference:
    """Hold `actual` against `expected`.

    Args:
        actual: what the port gave.
        expected: what the reference gave, in the same or in a higher precision.
        tolerance: bound on the relative L2 error; 0.0 asks for equality bit by bit, after
            rounding `expected` to the type of `actual`.
        floor: relative L2 error of the reference itself at the type of `actual`, the
            denominator of the noise ratio.
        dtype: the type that `actual` must have; "" for that of `expected`.

    Nothing is reshaped, cropped or cast to fit. NaN or infinity on one side only fails.
    """
    dtype = dtype or str(expected.dtype)
    if actual.shape != expected.shape:
        return Difference(False, f"shape: expected {expected.shape}, found {actual.shape}")
    if str(actual.dtype) != dtype:
        return Difference(False, f"dtype: expected {dtype}, found {actual.dtype}")
    if not np.issubdtype(actual.dtype, np.floating):
        equal = bool(np.array_equal(actual, expected.astype(actual.dtype)))
        return Difference(equal, "" if equal else "values differ")
    seen = _seen(actual, expected, bits=tolerance == 0)
    if seen is None:
        return Difference(False, "NaN or infinity on one side only")
    rel_l2 = seen.rel_l2
    if tolerance == 0:
        passed = seen.bitwise
        reason = "" if passed else "must be bitwise equal, as no arithmetic is done"
    else:
        passed = bool(rel_l2 <= tolerance)  # a NaN does not pass
        reason = "" if passed else f"relative L2 {rel_l2:.3g} exceeds {tolerance:.3g}"
    noise_ratio = rel_l2 / max(floor, UNIT_ROUNDOFF[str(actual.dtype)])
    if not actual.size:
        return Difference(passed, reason, 0.0, None, rel_l2, 0.0, noise_ratio=noise_ratio)
    return Difference(
        passed,
        reason,
        max_abs=seen.max_abs,
        max_abs_index=tuple(int(i) for i in np.unravel_index(seen.where, actual.shape)),
        rel_l2=rel_l2,
        max_ulp=seen.max_ulp,
        snr_db=-_decibel(rel_l2),
        si_sdr_db=seen.si_sdr_db,
        noise_ratio=noise_ratio,
    )


def relative_l2(actual: Array, expected: Array) -> float:
    """`|actual - expected| / |expected|` in float64; 0 for 0/0, infinity for x/0.

    Raises:
        ValueError: the shapes differ.
    """
    if actual.shape != expected.shape:
        raise ValueError(f"shapes differ: {actual.shape} and {expected.shape}")

    def energies(a: Array, e: Array) -> tuple[float, float]:
        room, error = _room()[:2, : a.size]
        wide = _wide(e, room)
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(a, wide, out=error)
        return inner(error, error), inner(wide, wide)

    parts = in_blocks(energies, actual.reshape(-1), expected.reshape(-1))
    error, norm = (sum(each) for each in zip((0.0, 0.0), *parts, strict=True))
    return _ratio(error, norm)


def relative_l2_where_finite(actual: Array, expected: Array) -> float:
    """The same over the finite numbers; infinity if they are finite in other places."""
    if actual.shape != expected.shape:
        return float("inf")
    found = relative_l2(actual, expected)
    if math.isfinite(found):
        return found
    finite = np.isfinite(actual)
    if not (finite == np.isfinite(expected)).all():
        return float("inf")
    return relative_l2(actual[finite], expected[finite])


def snr_db(actual: Array, expected: Array) -> float:
    """Signal-to-noise ratio of `actual` in dB, infinity where both are equal."""
    return -_decibel(relative_l2(actual, expected))


def inner(x: Array, y: Array) -> float:
    """The sum of products, without a library whose sums depend on its threads."""
    return float(np.einsum("i,i", x, y))


def spacing(x: Array, dtype: Any, out: Array | None = None) -> Array:
    """`np.spacing` of the size of numbers of a type, given and returned in float64; all finite."""
    out = np.empty_like(x) if out is None else out
    return np.multiply(_powers(x, dtype, out), float(np.finfo(dtype).eps), out=out)


def _powers(x: Array, dtype: Any, out: Array) -> Array:
    """The powers of two at or below the size of numbers of a type, none below its least normal."""
    bits = _EXPONENT[x.dtype.name]
    np.bitwise_and(x.view(bits.dtype), bits, out=out.view(bits.dtype))
    return np.maximum(out, np.finfo(dtype).tiny.astype(x.dtype), out=out)


def in_blocks(look: Callable[..., Any], *flat: Array) -> list[Any]:
    """What `look` makes of blocks of flat arrays of one length, in their order."""
    starts = range(0, flat[0].size, BLOCK)
    return in_threads(look, *([x[start : start + BLOCK] for start in starts] for x in flat))


def in_threads(look: Callable[..., Any], *items: Sequence[Any]) -> list[Any]:
    """What `look` makes of each, in their order: NumPy lets go of Python's lock as it computes."""
    return list((_threads().map if len(items[0]) > 1 else map)(look, *items))


@lru_cache(1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(4, os.cpu_count() or 1))  # more would wait for the lock


_local = threading.local()


def _room() -> Array:
    """Room of this thread for what is made of a block: asking the system for it takes as long."""
    if not hasattr(_local, "room"):
        _local.room = np.empty((3, BLOCK))
    return _local.room


@dataclass
class _Seen:
    """What some numbers of two arrays show.

    Attributes:
        error, expected, product: sums of squares of the difference and of what is expected, and of
            the one times the other.
        max_abs, where, max_ulp: the largest errors; where in the flat arrays the first is.
        bitwise: whether all is equal bit by bit, if that was looked at.
    """

    error: float = 0.0
    expected: float = 0.0
    product: float = 0.0
    max_abs: float = -1.0
    where: int = 0
    max_ulp: float = 0.0
    bitwise: bool = True

    def add(self, other: _Seen, start: int) -> None:
        """Take what the numbers from `start` on show as well."""
        if other.max_abs > self.max_abs:
            self.max_abs, self.where = other.max_abs, start + other.where
        self.error += other.error
        self.expected += other.expected
        self.product += other.product
        self.max_ulp = max(self.max_ulp, other.max_ulp)
        self.bitwise &= other.bitwise

    @property
    def rel_l2(self) -> float:
        """The error over what is expected."""
        return _ratio(self.error, self.expected)

    @property
    def si_sdr_db(self) -> float:
        """Scale-invariant SDR: blind to a pure gain, so reported and never a criterion."""
        gain = self.product / self.expected if self.expected else 0.0  # less 1
        residual = max(0.0, self.error - gain * self.product)
        return -_decibel(_ratio(residual, (1 + gain) ** 2 * self.expected))


def _seen(actual: Array, expected: Array, bits: bool) -> _Seen | None:
    """What two arrays show, None if one side alone has NaN or infinity somewhere."""
    look = partial(_of_block, bits=bits)
    whole = _Seen()
    for number, part in enumerate(in_blocks(look, actual.reshape(-1), expected.reshape(-1))):
        if part is None:
            return None
        whole.add(part, number * BLOCK)
    return whole


def _of_block(actual: Array, expected: Array, bits: bool) -> _Seen | None:
    with np.errstate(over="ignore"):
        rounded = expected.astype(actual.dtype, copy=False)
    bitwise = bits and actual.tobytes() == rounded.tobytes()
    seen = _measured(actual, expected, rounded)
    if not math.isfinite(seen.error + seen.expected + seen.max_ulp):
        finite = np.isfinite(actual)
        same = np.array_equal(actual[~finite], rounded[~finite], equal_nan=True)
        if not same or not np.array_equal(finite, np.isfinite(rounded)):
            return None
        seen = _measured(*(np.where(finite, x, 0) for x in (actual, expected, rounded)))
    seen.bitwise = bitwise
    return seen


def _measured(actual: Array, expected: Array, rounded: Array) -> _Seen:
    """The same of numbers that are finite; of others, sums or last places that are not."""
    error, other, third = _room()[:, : actual.size]
    with np.errstate(over="ignore", invalid="ignore"):
        np.subtract(actual, expected, out=error, dtype=np.float64)
        wide = _wide(expected, other)
        seen = _Seen(inner(error, error), inner(wide, wide), inner(error, wide))
        np.abs(error, out=error)
        seen.where = int(np.argmax(error))
        seen.max_abs = float(error[seen.where])
        seen.max_ulp = math.inf
        # In the type itself, which takes half the time, unless it has no room for so many.
        if rounded.dtype != error.dtype:
            places = other.view(rounded.dtype)[: actual.size]
            np.abs(np.subtract(actual, rounded, out=places), out=places)
            seen.max_ulp = _most_places(places, rounded, rounded.dtype, third)
        if not math.isfinite(seen.max_ulp):
            if rounded is not expected:
                np.abs(np.subtract(actual, rounded, out=error, dtype=np.float64), out=error)
            near = _wide(rounded, other)
            seen.max_ulp = _most_places(error, near, rounded.dtype, third)
    return seen


def _most_places(error: Array, near: Array, dtype: Any, room: Array) -> float:
    """The largest of absolute errors in units in the last place of numbers of a type.

    Beside an exact zero that is the tiniest number.
    """
    powers = _powers(near, dtype, room.view(near.dtype)[: near.size])
    most = float(np.divide(error, powers, out=powers).max())
    return most / float(np.finfo(dtype).eps)


def _wide(x: Array, room: Array) -> Array:
    """Numbers in float64, written to `room` if they are not yet."""
    if x.dtype == np.float64:
        return x
    np.copyto(room, x)
    return room


def _ratio(numerator: float, denominator: float) -> float:
    """The root of a ratio of energies."""
    if denominator:
        return math.sqrt(numerator) / math.sqrt(denominator)
    return float("inf") if numerator else 0.0


def _decibel(ratio: float) -> float:
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(ratio))
