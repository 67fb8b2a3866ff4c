"""Portraits of errors: where they are, how large, in how many last places, and kept in a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.core.kept.portrait import (
    BINS,
    COUNTED,
    HIGH,
    LEVELS,
    WIDE,
    Portrait,
    of_plain,
    portrait_of,
)
from parity.core.result import ParityError, read_json, write_json
from tests.parity.test_report import record, result


def drawn(actual: Any, expected: Any, layout: str = "BCT>BTC") -> Portrait:
    found = portrait_of(np.asarray(actual), np.asarray(expected), layout, "conv", 1, 0, "isolated")
    assert found is not None
    return found


def picture(portrait: Portrait) -> Any:
    return np.frombuffer(portrait.cells, np.uint8).reshape(portrait.high, portrait.wide)


def test_an_error_is_where_it_is() -> None:
    expected = np.ones((2, 64, 960))
    actual = expected.astype(np.float32)
    actual[1, 40, 505] += 0.5
    actual[0, 2, 0] += 0.25
    found = drawn(actual, expected)
    assert (found.down, found.across) == (("channel", 64), ("time", 960))
    cells = picture(found)
    assert cells.shape == (HIGH, WIDE)
    assert cells[20, 50] == LEVELS
    assert cells[1, 0] == LEVELS - 2, "6 dB less are two levels"
    assert np.count_nonzero(cells) == 2
    assert found.top_db == pytest.approx(20 * math.log10(0.5))


def test_no_cell_is_lost_where_sizes_do_not_divide() -> None:
    for size in (1, 7, 33, 97, 100, 191):
        for place in range(size):
            expected = np.ones((1, 5, size))
            actual = expected.copy()
            actual[0, 3, place] = 2
            cells = picture(drawn(actual, expected, "BCT"))
            assert cells.shape == (5, min(size, WIDE))
            assert np.argwhere(cells).tolist() == [
                [3, max(c for c in range(cells.shape[1]) if c * size // cells.shape[1] <= place)]
            ]


@pytest.mark.parametrize("shape", [(100, 97), (33, 1000), (191, 20), (1, 7), (7, 1), (2000, 300)])
def test_cells_have_the_largest_error_within_them(shape: tuple[int, int]) -> None:
    expected = np.ones(shape)
    actual = expected + 2.0 ** np.random.default_rng(0).integers(-30, 0, shape)
    found = picture(drawn(actual, expected, "CT"))
    errors = np.log2(actual - expected)
    high, wide = (min(most, size) for most, size in zip((HIGH, WIDE), shape, strict=True))
    rows, columns = np.arange(high) * shape[0] // high, np.arange(wide) * shape[1] // wide
    for row, column in np.ndindex(high, wide):
        part = errors[rows[row] :][: (*rows, shape[0])[row + 1] - rows[row]]
        part = part[:, columns[column] :][:, : (*columns, shape[1])[column + 1] - columns[column]]
        assert found[row, column] == max(0, LEVELS + 2 * (part.max() - errors.max()))


@pytest.mark.parametrize(
    ("shape", "layout", "down", "across"),
    [
        ((2, 3, 5, 7), "BCFT", ("channel", 3), ("time", 7)),
        ((2, 3, 5), "BTC", ("channel", 5), ("time", 3)),
        ((2, 3, 5, 7), "BHQK", ("query", 5), ("key", 7)),
        ((4, 5), "", ("axis 0", 4), ("axis 1", 5)),
        ((2, 4, 5), "wrong rank", ("axis 1", 4), ("axis 2", 5)),
        ((6,), "", ("", 1), ("axis 0", 6)),
        ((6,), "C", ("", 1), ("channel", 6)),
    ],
)
def test_which_axes(
    shape: tuple[int, ...], layout: str, down: tuple[str, int], across: tuple[str, int]
) -> None:
    found = drawn(np.zeros(shape), np.ones(shape), layout)
    assert (found.down, found.across) == (down, across)
    assert (found.high, found.wide) == (down[1], across[1])


def test_last_places_are_counted() -> None:
    expected = np.full(100, 1.0, np.float32)
    step = np.spacing(np.float32(1))
    actual = expected.copy()
    actual[:10] += step
    actual[10:15] += 3 * step
    actual[15] += 1000 * step
    actual[16] = np.nan
    counts = drawn(actual, expected, "C").last_places
    assert len(counts) == BINS
    assert {i: n for i, n in enumerate(counts) if n} == {0: 83, 1: 10, 2: 5, 10: 1, BINS - 1: 1}


def test_of_a_large_tensor_some_are_counted() -> None:
    expected = np.ones((3, 2 * COUNTED), np.float32)
    counts = drawn(expected, expected, "CT").last_places
    assert counts[0] == sum(counts) == COUNTED


def test_no_number_is_worse_than_any() -> None:
    expected = np.asarray([1.0, np.inf, np.nan, 2.0])
    actual = np.asarray([1.5, np.inf, np.nan, -np.inf])
    found = drawn(actual, expected, "T")
    assert picture(found).tolist() == [[0, 0, 0, LEVELS]]
    assert found.top_db == math.inf
    equal = drawn(expected, expected, "T")
    assert (equal.top_db, set(equal.cells)) == (-math.inf, {0})


def test_what_cannot_be_drawn() -> None:
    for actual, expected in (
        (np.ones(3), np.ones(4)),
        (np.ones(0), np.ones(0)),
        (np.float64(1), np.float64(1)),
        (np.ones(3, int), np.ones(3, int)),
    ):
        assert portrait_of(np.asarray(actual), np.asarray(expected), "", "", 0, 0, "") is None


def test_a_file_keeps_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(2, 1, 40, 200))
    portraits = (drawn(noise[0], noise[1]), drawn([1.0, np.nan], [1.0, 1.0], "T"))
    write_json(tmp_path / "r.json", [result(record(), portraits=portraits)])
    assert read_json(tmp_path / "r.json")[0].portraits == portraits


@pytest.mark.parametrize(
    "changes",
    [
        {"cells": "AAAA"},
        {"cells": "no base64"},
        {"high": 4000000, "wide": 4000000},
        {"high": 4},
        {"last_places": [1]},
        {"top_db": "loud"},
        {"down": 3},
        {"surplus": 1},
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    plain = {**drawn(np.ones((1, 3, 5)), np.zeros((1, 3, 5))).plain(), **changes}
    path = tmp_path / "r.json"
    write_json(path, [result(record())])
    import json

    content = json.loads(path.read_text())
    content["results"][0]["portraits"] = [plain]
    path.write_text(json.dumps(content))
    with pytest.raises(ParityError, match="is not a result of `python -m parity run`"):
        read_json(path)


def test_a_bomb_is_not_unpacked() -> None:
    import base64
    import zlib

    bomb = base64.b64encode(zlib.compress(bytes(10**8), 9)).decode()
    plain = {**drawn(np.ones((1, 3, 5)), np.zeros((1, 3, 5))).plain(), "cells": bomb}
    with pytest.raises(ValueError, match=r"expected a picture of 3 by 5 cells"):
        of_plain(plain)
