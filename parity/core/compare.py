"""The one comparator: everything that holds two arrays against each other calls `compare`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Unit round-off; a tensor that the reference itself gets right to the last bit has a floor of 0,
# and its noise ratio is taken over this instead.
UNIT_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}


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
    rounded = expected.astype(actual.dtype)
    if not np.issubdtype(actual.dtype, np.floating):
        equal = bool(np.array_equal(actual, rounded))
        return Difference(equal, "" if equal else "values differ")
    finite = np.isfinite(actual)
    if not np.array_equal(finite, np.isfinite(rounded)) or not np.array_equal(
        actual[~finite], rounded[~finite], equal_nan=True
    ):
        return Difference(False, "NaN or infinity on one side only")
    difference = _metrics(actual, expected, rounded, finite, floor)
    rel_l2 = difference["rel_l2"]
    if tolerance == 0:
        passed = actual.tobytes() == rounded.tobytes()
        reason = "" if passed else "must be bitwise equal, as no arithmetic is done"
    else:
        passed = bool(rel_l2 <= tolerance)  # a NaN does not pass
        reason = "" if passed else f"relative L2 {rel_l2:.3g} exceeds {tolerance:.3g}"
    return Difference(passed, reason, **difference)


def relative_l2(actual: Array, expected: Array) -> float:
    """`|actual - expected| / |expected|` in float64; 0 for 0/0, infinity for x/0.

    Raises:
        ValueError: the shapes differ.
    """
    if actual.shape != expected.shape:
        raise ValueError(f"shapes differ: {actual.shape} and {expected.shape}")
    wide = expected.astype(np.float64, copy=False)
    return _ratio(_norm(np.subtract(actual, wide, dtype=np.float64)), _norm(wide))


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


def _metrics(
    actual: Array, expected: Array, rounded: Array, finite: Array, floor: float
) -> dict[str, Any]:
    if not finite.all():
        actual, expected, rounded = (np.where(finite, x, 0) for x in (actual, expected, rounded))
    a, e = (x.astype(np.float64, copy=False) for x in (actual, expected))
    if not a.size:
        return {"max_abs": 0.0, "rel_l2": 0.0, "max_ulp": 0.0, "noise_ratio": 0.0}
    error, norm = np.asarray(a - e), _norm(e)  # of two numbers, NumPy makes no array
    rel_l2 = _ratio(_norm(error), norm)
    np.abs(error, out=error)
    index = np.unravel_index(int(np.argmax(error)), error.shape)
    max_abs = float(error[index])
    ulp = np.abs(np.subtract(a, rounded, dtype=np.float64, out=error), out=error)
    with np.errstate(over="ignore"):  # beside an exact zero the spacing is the tiniest number
        ulp /= np.spacing(np.where(finite, np.abs(rounded), 1))
    return {
        "max_abs": max_abs,
        "max_abs_index": tuple(int(i) for i in index),
        "rel_l2": rel_l2,
        "max_ulp": float(np.max(ulp)),
        "snr_db": -_decibel(rel_l2),
        "si_sdr_db": _si_sdr_db(a, e, norm),
        "noise_ratio": rel_l2 / max(floor, UNIT_ROUNDOFF[str(actual.dtype)]),
    }


def _norm(x: Array) -> float:
    return float(np.sqrt(np.sum(np.square(x, dtype=np.float64))))


def _ratio(numerator: float, denominator: float) -> float:
    if denominator:
        return numerator / denominator
    return float("inf") if numerator else 0.0


def _decibel(ratio: float) -> float:
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(ratio))


def _si_sdr_db(actual: Array, expected: Array, norm: float) -> float:
    """Scale-invariant SDR: blind to a pure gain, so reported and never a criterion."""
    scale = float(np.sum(actual * expected)) / norm**2 if norm**2 else 1.0
    residual = np.multiply(expected, -scale)
    residual += actual
    return -_decibel(_ratio(_norm(residual), abs(scale) * norm))
