"""The one comparator: everything that holds two arrays against each other calls `compare`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Unit round-off; a tensor that the reference itself gets right to the last bit has a floor of 0,
# and its noise ratio is taken over this instead.
UNIT_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}
_INFINITY = np.array(np.inf).view(np.int64)  # has the bits of the exponent, and no others
# Numbers that are looked at at a time: what is made of them stays in the cache, and is so small
# that malloc need not ask the system for it each time.
BLOCK = 2**13


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
    seen = _Seen(bits=tolerance == 0)
    for a, e in _blocks(actual, expected):
        if not seen.take(a, e):
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
    error = norm = 0.0
    for a, e in _blocks(actual, expected):
        wide = e.astype(np.float64, copy=False)
        difference = np.subtract(a, wide, dtype=np.float64)
        error += inner(difference, difference)
        norm += inner(wide, wide)
    return _ratio(error, norm)


def relative_l2_where_finite(actual: Array, expected: Array) -> float:
    """The same over the finite numbers; infinity if they are finite in other places."""
    finite = np.isfinite(actual)
    if not np.array_equal(finite, np.isfinite(expected)):
        return float("inf")
    if not finite.all():
        actual, expected = actual[finite], expected[finite]
    return relative_l2(actual, expected)


def snr_db(actual: Array, expected: Array) -> float:
    """Signal-to-noise ratio of `actual` in dB, infinity where both are equal."""
    return -_decibel(relative_l2(actual, expected))


def inner(x: Array, y: Array) -> float:
    """The sum of products, without a library whose sums depend on its threads."""
    return float(np.einsum("i,i", x, y))


def spacing(x: Array, dtype: Any) -> Array:
    """`np.spacing` of the size of numbers of a type, given and returned in float64; all finite."""
    limits = np.finfo(dtype)
    power = (x.view(np.int64) & _INFINITY).view(np.float64)  # of two, the next below
    return np.maximum(power, float(limits.tiny), out=power) * float(limits.eps)


class _Seen:
    """What the blocks of two arrays show together.

    Attributes:
        error, expected, product: sums of squares of the difference and of what is expected, and of
            the one times the other.
        max_abs, where, max_ulp: the largest errors; where in the flat arrays the first is.
        bitwise: whether all is equal bit by bit; looked at if `bits`.
    """

    def __init__(self, bits: bool) -> None:
        self.error = self.expected = self.product = 0.0
        self.max_abs, self.where, self.max_ulp = -1.0, 0, 0.0
        self.bitwise = bits
        self._taken = 0

    def take(self, actual: Array, expected: Array) -> bool:
        """Look at a block; False if one side alone has NaN or infinity somewhere."""
        rounded = expected.astype(actual.dtype, copy=False)
        if self.bitwise:
            self.bitwise = actual.tobytes() == rounded.tobytes()
        finite = np.isfinite(actual)
        if not (finite.all() and np.isfinite(rounded).all()):
            same = np.array_equal(actual[~finite], rounded[~finite], equal_nan=True)
            if not same or not np.array_equal(finite, np.isfinite(rounded)):
                return False
            actual, expected, rounded = (
                np.where(finite, x, 0) for x in (actual, expected, rounded)
            )
        a, wide, near = (x.astype(np.float64, copy=False) for x in (actual, expected, rounded))
        error = a - wide
        self.error += inner(error, error)
        self.expected += inner(wide, wide)
        self.product += inner(error, wide)
        np.abs(error, out=error)
        index = int(np.argmax(error))
        if error[index] > self.max_abs:
            self.max_abs, self.where = float(error[index]), self._taken + index
        places = np.abs(np.subtract(a, near, out=error), out=error)
        with np.errstate(over="ignore"):  # beside an exact zero the spacing is the tiniest number
            places /= spacing(near, rounded.dtype)
        self.max_ulp = max(self.max_ulp, float(np.max(places)))
        self._taken += actual.size
        return True

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


def _blocks(actual: Array, expected: Array) -> Iterator[tuple[Array, Array]]:
    """The same numbers of two arrays of one shape, some at a time, in their order."""
    flat = actual.reshape(-1), expected.reshape(-1)
    for start in range(0, actual.size, BLOCK):
        yield flat[0][start : start + BLOCK], flat[1][start : start + BLOCK]


def _ratio(numerator: float, denominator: float) -> float:
    """The root of a ratio of energies."""
    if denominator:
        return float(np.sqrt(numerator) / np.sqrt(denominator))
    return float("inf") if numerator else 0.0


def _decibel(ratio: float) -> float:
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(ratio))
