"""The comparator looks at arrays block by block: what it says is what the whole arrays say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from parity.core import compare as module
from parity.core.compare import BLOCK, compare, relative_l2, relative_l2_where_finite, spacing

SIZES = (1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5)
DTYPES = ("float32", "float64")


def pair(size: int, dtype: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(size)
    expected = rng.standard_normal(size) * 10.0 ** rng.integers(-3, 4, size)
    return (expected * (1 + 1e-6 * rng.standard_normal(size))).astype(dtype), expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_metrics_are_those_of_the_whole(size: int, dtype: str) -> None:
    actual, expected = pair(size, dtype)
    error = actual.astype("float64") - expected
    places = np.abs(actual - expected.astype(dtype)) / np.spacing(np.abs(expected.astype(dtype)))
    scale = np.dot(actual, expected) / np.dot(expected, expected)
    residual = actual - scale * expected
    found = compare(actual, expected, 1e-3, floor=1e-7, dtype=dtype)
    assert found.passed
    assert found.max_abs == np.abs(error).max()
    assert found.max_abs_index == (np.abs(error).argmax(),)
    assert found.max_ulp == places.max()
    relative = np.linalg.norm(error) / np.linalg.norm(expected)
    assert found.rel_l2 == pytest.approx(relative, rel=1e-12)
    assert found.snr_db == pytest.approx(-20 * np.log10(relative))
    assert found.noise_ratio == pytest.approx(relative / 1e-7)
    assert relative_l2(actual, expected) == found.rel_l2
    if size > 1:  # a single number is a gain
        wanted = np.linalg.norm(scale * expected) / np.linalg.norm(residual)
        assert found.si_sdr_db == pytest.approx(20 * np.log10(wanted), rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 2 * BLOCK + 1])
def test_one_number_is_found_wherever_it_is(place: int, dtype: str) -> None:
    shape = 3, BLOCK
    expected = np.ones(shape)
    actual = expected.astype(dtype)
    actual.flat[place] = np.nextafter(actual.flat[place], actual.dtype.type(2))
    found = compare(actual, expected, 0.0, dtype=dtype)
    assert (found.passed, found.max_ulp) == (False, 1)
    assert found.max_abs_index == np.unravel_index(place, shape)
    assert compare(actual, actual.astype("float64"), 0.0, dtype=dtype).passed
    for broken in (np.nan, np.inf, -np.inf):
        actual.flat[place] = broken
        assert "NaN or infinity" in compare(actual, expected, 1.0, dtype=dtype).reason
        same = actual.astype("float64")
        assert compare(actual, same, 0.0, dtype=dtype).passed
        assert compare(actual, same, 1e-9, dtype=dtype).max_abs == 0
        same.flat[place] = 1.0
        assert "NaN or infinity" in compare(same.astype(dtype), actual, 1.0, dtype=dtype).reason
    actual.flat[place] = np.inf
    assert "NaN or infinity" in compare(actual, -actual.astype("float64"), 9.0, dtype=dtype).reason


def test_a_number_too_large_for_the_type_is_not_there() -> None:
    expected = np.array([1.0, 1e39])
    actual = np.array([1.0, 3e38], "float32")
    assert "NaN or infinity" in compare(actual, expected, 9.0, dtype="float32").reason
    actual[1] = np.inf
    assert compare(actual, expected, 0.0, dtype="float32").max_abs == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_number_of_threads_says_the_same(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    actual, expected = pair(7 * BLOCK + 3, dtype)
    found = []
    for count in (1, 2, 5):
        with ThreadPoolExecutor(count) as threads:
            monkeypatch.setattr(module, "_threads", lambda threads=threads: threads)
            found.append(
                (compare(actual, expected, 1.0, dtype=dtype), relative_l2(actual, expected))
            )
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("actual", "expected", "wanted"),
    [
        ([3.0, np.nan, 4.0], [3.0, np.nan, 9.0], 5 / np.hypot(3, 9)),
        ([1.0, np.inf], [1.0, 1.0], np.inf),
        ([1.0, 1.0], [1.0, np.inf], np.inf),
        ([np.inf, 2.0], [np.inf, 1.0], 1.0),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([1.0, 0.0], [0.0, 0.0], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
        ([], [], 0.0),
    ],
)
def test_errors_of_finite_numbers(actual: Any, expected: Any, wanted: float) -> None:
    assert relative_l2_where_finite(np.array(actual), np.array(expected)) == wanted


def test_the_first_of_equal_errors_is_named() -> None:
    expected = np.zeros(3 * BLOCK)
    actual = expected.copy()
    actual[[5, BLOCK + 1, 2 * BLOCK]] = 1.0, -1.0, 1.0
    assert compare(actual, expected, 1.0).max_abs_index == (5,)


@pytest.mark.parametrize("dtype", DTYPES)
def test_spacing_is_that_of_numpy(dtype: str) -> None:
    limits = np.finfo(dtype)
    rng = np.random.default_rng(0)
    numbers = [0.0, limits.tiny, limits.smallest_subnormal, limits.max / 2, 1.0, 2.0, 3.0, 0.1]
    numbers += [*(rng.standard_normal(500) * 10.0 ** rng.integers(-30, 30, 500))]
    x = np.array([*numbers, *(-np.array(numbers))], dtype)
    assert spacing(x.astype("float64"), dtype).tolist() == np.spacing(np.abs(x)).tolist()


def test_last_places_are_counted_where_float32_has_no_room_for_their_number() -> None:
    tiniest = float(np.finfo("float32").smallest_subnormal)
    for found, wanted, places in (
        (5.0, 0.0, 5.0 / tiniest),
        (-3e38, 3e38, 6e38 / 2.0**104),
        (2 * tiniest, 0.0, 2.0),
    ):
        seen = compare(np.array([found], "float32"), np.array([wanted]), 9.0, dtype="float32")
        assert seen.max_ulp == pytest.approx(places, rel=1e-6)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (3, 2)])
def test_tensors_of_any_rank_are_compared(shape: tuple[int, ...]) -> None:
    expected = np.full(shape, 2.0)
    found = compare(np.full(shape, 2.5, "float32"), expected, 1.0, dtype="float32")
    assert found.passed
    assert (found.max_abs, found.rel_l2) == (0.5, 0.25)
    assert found.max_ulp == 0.5 / np.spacing(np.float32(2))
    assert compare(np.full(shape, 2.0), expected, 0.0).max_abs == 0
