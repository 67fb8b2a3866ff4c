"""Convolutions of many products are sums of shorter ones, as float32 loses digits in long sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.layers import conv
from demucs_tf.layers.base import portable

LONGEST = 448


@pytest.mark.parametrize(
    ("taps", "channels", "parts"),
    [(1, 448, 1), (1, 449, 2), (3, 150, 2), (8, 56, 1), (8, 57, 2), (3, 700, 5), (500, 2, 2)],
)
def test_as_few_parts_as_are_short_enough(taps: int, channels: int, parts: int) -> None:
    x = np.random.default_rng(0).standard_normal((1, 9, channels))
    weight = np.random.default_rng(1).standard_normal((taps, channels, 4))
    sums: list[int] = []

    def convolve(x: Any, weight: Any) -> Any:
        assert x.shape[-1] == weight.shape[-2]
        sums.append(taps * x.shape[-1])
        return tf.einsum("btc,kcd->btkd", x, weight)

    bias = np.arange(4.0)
    found = conv._in_parts(convolve, tf.constant(x), tf.constant(weight), tf.constant(bias), taps)
    expected = np.einsum("btc,kcd->btkd", x, weight) + bias
    np.testing.assert_allclose(found, expected, atol=1e-11)
    assert len(sums) == parts
    assert sum(sums) == taps * channels
    assert max(sums) <= max(LONGEST, taps)
    assert max(sums) - min(sums) <= taps


def test_files_and_bfloat16_have_them_whole() -> None:
    whole = []

    def convolve(x: Any, weight: Any) -> Any:
        whole.append(x.shape[-1])
        return x

    x, weight = tf.zeros([1, 9, 700]), tf.zeros([3, 700, 4])
    bias = tf.zeros([700])
    narrow = [tf.cast(each, tf.bfloat16) for each in (x, weight, bias)]
    conv._in_parts(convolve, narrow[0], narrow[1], narrow[2], 3)
    with portable():
        conv._in_parts(convolve, x, weight, bias, 3)
    assert whole == [700, 700]
