"""Convolutions that no Demucs model has, by their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.layers.conv import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d

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
    ((1, 1), (1, 1), (0, 1)),
    ((1, 5), (1, 3), (0, 2)),
    ((3, 3), (2, 1), (1, 1)),
    ((3, 3), (1, 2), (1, 1)),
    ((4, 4), (1, 1), (1, 1)),
    ((4, 2), (2, 1), (0, 0)),
    ((4, 1), (2, 2), (0, 0)),
    ((4, 1), (2, 1), (0, 1)),
    # Over one axis as well
    ((2, 1), (1, 1), (0, 0)),
    ((1, 1), (2, 1), (0, 0)),
    ((3, 1), (1, 1), (1, 0)),
    ((5, 1), (3, 1), (2, 0)),
]


def drawn(layer: Any, *shape: int) -> Any:
    """An input, for a layer whose variables are drawn as well."""
    random = np.random.default_rng(0)
    for variable in layer.variables:
        variable.assign(random.normal(size=variable.shape))
    return random.normal(size=shape)


def convolved(x: Any, weight: Any, bias: Any, stride: Pair, padding: Pair) -> Any:
    """torch.nn.Conv2d: the sum over all taps of the padded input."""
    wide = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    kernel = weight.shape[:2]
    sizes = zip(wide.shape[1:3], kernel, stride, strict=True)
    rows, columns = ((n - k) // s + 1 for n, k, s in sizes)
    y = np.empty((len(x), rows, columns, len(bias)))
    for row, column in np.ndindex(rows, columns):
        top, left = row * stride[0], column * stride[1]
        taps = wide[:, top : top + kernel[0], left : left + kernel[1]]
        y[:, row, column] = np.einsum("bijc,ijcd->bd", taps, weight) + bias
    return y


# Few and many channels in and out, which take ways of their own.
WIDTHS = [(2, 3), (2, 32), (32, 2)]


@pytest.mark.parametrize(("kernel", "stride", "padding"), ROWS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_two_axes(kernel: Pair, stride: Pair, padding: Pair, widths: Pair) -> None:
    layer = Conv2d(*widths, kernel, stride, padding, dtype="float64")
    x = drawn(layer, 2, 8, 10, widths[0])  # of even lengths TensorFlow pads the ends alone
    weight, bias = map(np.asarray, (layer.weight, layer.bias))
    wanted = convolved(x, weight, bias, stride, padding)
    found = np.asarray(layer.activated(x, tf.nn.relu))
    np.testing.assert_allclose(found, np.maximum(wanted, 0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.asarray(layer(x)), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [r for r in ROWS if r[0][1] == 1])
@pytest.mark.parametrize("widths", WIDTHS)
def test_one_axis(kernel: Pair, stride: Pair, padding: Pair, widths: Pair) -> None:
    layer = Conv1d(*widths, kernel[0], stride[0], padding[0], dtype="float64")
    x = drawn(layer, 2, 9, widths[0])
    weight, bias = map(np.asarray, (layer.weight, layer.bias))
    pairs = (stride[0], 1), (padding[0], 0)
    wanted = convolved(x[:, :, None], weight[:, None], bias, *pairs)[:, :, 0]
    found = np.asarray(layer.activated(x, tf.nn.relu))
    np.testing.assert_allclose(found, np.maximum(wanted, 0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.asarray(layer(x)), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride"), [(5, 2), (8, 4), (3, 3), (2, 3), (7, 1)])
@pytest.mark.parametrize("frequency", [False, True])
def test_transposed(kernel: int, stride: int, frequency: bool) -> None:
    """torch.nn.ConvTranspose1d and 2d: each input spreads its taps, `stride` apart."""
    make: Any = ConvTranspose2d if frequency else ConvTranspose1d
    layer = make(2, 3, kernel, stride, dtype="float64")
    x = drawn(layer, 2, 6, 4, 2) if frequency else drawn(layer, 2, 6, 2)
    weight = np.asarray(layer.weight).reshape(kernel, 3, 2)
    wanted = np.zeros((2, 5 * stride + kernel, *x.shape[2:-1], 3)) + np.asarray(layer.bias)
    for place, tap in np.ndindex(6, kernel):
        wanted[:, place * stride + tap] += x[:, place] @ weight[tap].T
    found = np.asarray(layer(x))
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
