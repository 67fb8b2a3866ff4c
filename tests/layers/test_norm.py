"""Group norms, against their formula, whatever a graph knows of its input; and how they add up."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.layers import norm
from demucs_tf.layers.base import portable
from demucs_tf.layers.norm import GroupNorm

CHANNELS = 8


def traced(made: GroupNorm, shape: list[int | None], elsewhere: bool) -> Any:
    """A graph of a norm, for TensorFlow or for other runtimes."""

    def call(x: Any) -> Any:
        with portable() if elsewhere else nullcontext():
            return made(x)

    signature = [tf.TensorSpec([*shape, CHANNELS], made.compute_dtype)]
    return tf.function(call, input_signature=signature, autograph=False)


def layer(groups: int, dtype: str) -> GroupNorm:
    made = GroupNorm(groups, CHANNELS, 1e-5, dtype=dtype)
    rng = np.random.default_rng(groups)
    made.weight.assign(rng.normal(size=CHANNELS))
    made.bias.assign(rng.normal(size=CHANNELS))
    return made


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("known", [(2, 9), (None, 9), (2, None), (None, None)])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_it_is_its_formula(
    groups: int, known: tuple[int | None, int | None], elsewhere: bool
) -> None:
    made = layer(groups, "float64")
    graph = traced(made, [*known], elsewhere)
    x = np.random.default_rng(0).normal(size=(2, 9, CHANNELS)) + 3
    rows = x.reshape(2, 9, groups, -1)
    centred = rows - rows.mean((1, 3), keepdims=True)
    unit = centred / np.sqrt((centred**2).mean((1, 3), keepdims=True) + 1e-5)
    wanted = unit.reshape(x.shape) * np.asarray(made.weight) + np.asarray(made.bias)
    np.testing.assert_allclose(graph(tf.constant(x)), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [1, 511, 512, 513, 5_000, 200_000])
@pytest.mark.parametrize("known", [True, False])
def test_all_of_a_row_is_added_up(length: int, known: bool) -> None:
    signature = [tf.TensorSpec([2, length if known else None], tf.float64)]
    graph = tf.function(norm.total, input_signature=signature, autograph=False)
    x = np.random.default_rng(length).normal(size=(2, length))
    np.testing.assert_allclose(graph(tf.constant(x)), x.sum(1, keepdims=True), rtol=0, atol=1e-10)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("batch", [2, None])
def test_no_sum_is_longer_than_two_rows(groups: int, batch: int | None) -> None:
    """A runtime may add up one number after the other, and in float32."""
    graph = traced(layer(groups, "float32"), [batch, 20_000], elsewhere=True)
    sums = [
        op
        for op in graph.get_concrete_function().graph.get_operations()
        if op.type in ("Sum", "Mean")
    ]
    assert len(sums) >= 3
    for op in sums:
        axes = np.ravel(tf.get_static_value(op.inputs[1]))
        lengths = [op.inputs[0].shape[axis] for axis in axes]
        assert all(length is not None for length in lengths), op
        assert np.prod(lengths) <= 2 * norm._ROW, op
