"""Weights in the port's layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from demucs_tf.checkpoints.weights import TRANSFORMS, laid_out

Array = npt.NDArray[Any]


def draw(*shape: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


ARRAYS: dict[str, Callable[[], Array]] = {
    "as it is": lambda: draw(600, 500),
    "a matrix": lambda: TRANSFORMS["reversed"].forward(draw(600, 500)),
    "a matrix that leaves a rest": lambda: TRANSFORMS["reversed"].forward(draw(601, 500)),
    "a small matrix": lambda: TRANSFORMS["reversed"].forward(draw(7, 5)),
    "over time": lambda: TRANSFORMS["reversed"].forward(draw(150, 300, 8)),
    "over frequency": lambda: TRANSFORMS["kernel first"].forward(draw(150, 300, 3, 3)),
    "half": lambda: TRANSFORMS["reversed"].forward(draw(900, 800, dtype="float16")),
    "double": lambda: TRANSFORMS["reversed"].forward(draw(600, 500, dtype="float64")),
    "backwards": lambda: draw(600, 500)[::-1, ::-1],
    "one number": lambda: np.float32(3) * np.ones(()),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ARRAYS)
def test_laid_out(name: str, dtype: str) -> None:
    array = ARRAYS[name]()
    copy = laid_out(array, dtype)
    np.testing.assert_array_equal(copy, array.astype(dtype))
    assert copy.dtype == dtype
    assert copy.flags.c_contiguous
    assert copy.ctypes.data % 64 == 0  # as TensorFlow's are, so that it makes no copy
    assert not np.shares_memory(copy, array)
