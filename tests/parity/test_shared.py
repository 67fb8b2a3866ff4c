"""One copy of what is captured twice: found by shape, type and bits, or as the same tensor."""

from __future__ import annotations

import numpy as np
import pytest

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


@pytest.mark.live
def test_a_tensor_is_copied_once_until_it_is_written_to() -> None:
    import torch

    from parity.core.capture.operations import Copies

    copies = Copies()
    tensor = torch.arange(6.0).reshape(2, 3)
    first = copies.of(tensor)
    assert copies.of(tensor) is first
    assert copies.of(tensor.clone()) is first, "the same numbers"
    for write in (tensor.add_, tensor[0].mul_, tensor.detach().sub_):
        write(3.0)
        after = copies.of(tensor)
        assert after is not first
        assert after.tolist() == tensor.tolist()
    assert first.tolist() == [[0, 1, 2], [3, 4, 5]]
    with torch.inference_mode():  # in which torch does not count
        tensor = torch.zeros(3)
        before = copies.of(tensor)
        tensor += 1
        assert (before.tolist(), copies.of(tensor).tolist()) == ([0, 0, 0], [1, 1, 1])


@pytest.mark.live
def test_what_is_looked_at_at_once_is_not_copied() -> None:
    import torch

    from parity.core.capture.operations import Copies

    tensor = torch.zeros(3, dtype=torch.complex64)
    seen = Copies(kept=False).of(tensor)
    tensor += 1 - 2j
    assert seen.tolist() == [[1, -2]] * 3
