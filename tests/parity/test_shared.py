"""One copy of what is captured twice: found by shape, type and bits."""

from __future__ import annotations

import numpy as np

from parity.core.capture.shared import Shared


def test_the_same_numbers_are_one_array() -> None:
    arrays = Shared()
    first = np.random.default_rng(0).standard_normal((3, 50_000))
    assert arrays.one(first) is first
    assert arrays.one(first.copy()) is first
    assert arrays.one(np.array(np.nan)) is arrays.one(np.array(np.nan))
    assert arrays.one(np.zeros((0, 3))) is arrays.one(np.zeros((0, 3)))


def test_other_numbers_shapes_and_types_are_not() -> None:
    arrays = Shared()
    first = arrays.one(np.random.default_rng(0).standard_normal((3, 50_000)))
    for place in range(0, first.size, 7919):
        other = first.copy()
        other.flat[place] = np.nextafter(other.flat[place], 2)
        assert arrays.one(other) is other
    for other in (first.reshape(2, -1), first.astype("float32"), first.view("int64")):
        assert arrays.one(other) is other
    zero = arrays.one(np.zeros(3))
    assert arrays.one(-zero) is not zero
    assert arrays.one(np.zeros(3)) is zero
