"""Convolutions over two axes that no Demucs model has, by their formula."""

from __future__ import annotations

import numpy as np
import pytest

from demucs_tf.layers.conv import Conv2d

Pair = tuple[int, int]
ROWS: list[tuple[Pair, Pair, Pair]] = [  # kernel, stride, padding
    ((3, 3), (1, 1), (1, 0)),
    ((3, 5), (1, 1), (2, 1)),
    ((1, 3), (1, 1), (0, 2)),
    ((4, 3), (2, 1), (0, 1)),
    ((2, 1), (2, 1), (0, 0)),
    ((1, 2), (1, 2), (0, 0)),
    ((1, 1), (1, 1), (0, 0)),
    ((1, 1), (1, 1), (1, 0)),
]


@pytest.mark.parametrize(("kernel", "stride", "padding"), ROWS)
def test_formula(kernel: Pair, stride: Pair, padding: Pair) -> None:
    """Reference: torch.nn.Conv2d, whose sum is over all taps of the padded input."""
    layer = Conv2d(2, 3, kernel, stride, padding, dtype="float64")
    random = np.random.default_rng(0)
    for variable in layer.variables:
        variable.assign(random.normal(size=variable.shape))
    x = random.normal(size=(2, 7, 8, 2))
    wide = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    weight, bias = np.asarray(layer.weight), np.asarray(layer.bias)
    rows, columns = (
        (n - k) // s + 1 for n, k, s in zip(wide.shape[1:3], kernel, stride, strict=True)
    )
    wanted = np.empty((2, rows, columns, 3))
    for row, column in np.ndindex(rows, columns):
        top, left = row * stride[0], column * stride[1]
        taps = wide[:, top : top + kernel[0], left : left + kernel[1]]
        wanted[:, row, column] = np.einsum("bijc,ijcd->bd", taps, weight) + bias
    np.testing.assert_allclose(np.asarray(layer(x)), wanted, rtol=0, atol=1e-12)
