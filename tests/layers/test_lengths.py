"""Lengths that a graph does not know: where they come from is followed, and it is the right one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import product as product_of
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.layers.base import joined
from demucs_tf.layers.linear import product
from demucs_tf.layers.shape import reshape, size
from tests.layers.test_in_one import in_a_file

SHAPES = [(2, 7, 3), (1, 1, 3), (3, 1, 3), (1, 5, 3)]
WEIGHT = np.ones((3, 4), np.float32)

# What is made of two tensors (B, T, 3), and whether its lengths are the first one's for sure.
MADE: dict[str, tuple[Callable[[Any, Any], Any], bool]] = {
    "itself": (lambda x, _: x, True),
    "its root": (lambda x, _: tf.sqrt(tf.square(x)), True),
    "its sigmoid and a bias": (lambda x, _: tf.nn.bias_add(tf.sigmoid(x), [1.0, 2, 3]), True),
    "in another precision": (lambda x, _: tf.cast(x, tf.float64), True),
    "twice itself": (lambda x, _: 2 * x, True),
    "scaled": (lambda x, _: x * [1.0, 2, 3], True),
    "scaled, the other way round": (lambda x, _: [1.0, 2, 3] - x, True),
    "without its mean": (lambda x, _: x - tf.reduce_mean(x, [1, 2], keepdims=True), False),
    "a mean over time": (lambda x, _: x / tf.reduce_mean(x, [0, 1], keepdims=True), True),
    "with itself": (lambda x, _: x + tf.square(x), True),
    "thrice itself": (lambda x, _: tf.add_n([x, x, x]), True),
    "with one more axis": (lambda x, _: x + tf.ones([5, 1, 1, 3]), True),
    "multiplied": (lambda x, _: product(x, WEIGHT), True),
    "multiplied and turned": (lambda x, _: tf.transpose(product(x, WEIGHT), [1, 0, 2]), False),
    "as rows": (lambda x, _: reshape(x, [-1, 3]), False),
    "in pairs": (lambda x, _: reshape(tf.repeat(x, 2, 1), [size(x, 0), -1, 2, 3]), False),
    "padded": (lambda x, _: tf.pad(x, [[0, 0], [1, 1], [0, 0]]), False),
    "with another": (lambda x, y: x + y, False),
    "with another, and itself": (lambda x, y: (x + y) * x, False),
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tensors whose shapes were asked for."""
    tensors: list[Any] = []
    shape = tf.shape

    def watched(x: Any, **options: Any) -> Any:
        tensors.append(x)
        return shape(x, **options)

    monkeypatch.setattr(tf, "shape", watched)
    return tensors


@pytest.mark.parametrize("name", MADE)
def test_the_length_is_that_of_the_tensor(name: str, asked: list[Any]) -> None:
    make, is_first = MADE[name]

    def call(x: Any, y: Any) -> tuple[Any, list[Any]]:
        made = make(x, y)
        axes = [axis for axis, length in enumerate(made.shape) if length is None]
        asked.clear()
        found = [(axis, size(made, axis)) for axis in axes]
        assert not is_first or all(each is x for each in asked)
        return made, found

    with joined():
        signature = [tf.TensorSpec([None, None, 3])] * 2
        graph = tf.function(call, input_signature=signature, autograph=False)
        graph.get_concrete_function()
    for shape in SHAPES:
        for pair in product_of([shape, (1, *shape[1:]), (shape[0], 1, 3)], repeat=2):
            made, found = graph(*map(tf.ones, pair))
            assert found
            assert all(made.shape[axis] == length for axis, length in found)


@pytest.mark.parametrize("way", [nullcontext, in_a_file])
def test_layer_by_layer_and_in_files_nothing_is_followed(way: Any, asked: list[Any]) -> None:
    def call(x: Any) -> tuple[Any, Any]:
        made = tf.sigmoid(x)
        with way():
            return made, size(made, 1)

    graph = tf.function(call, input_signature=[tf.TensorSpec([None, None, 3])], autograph=False)
    assert int(graph(tf.ones([2, 7, 3]))[1]) == 7
    assert [each.op.type for each in asked] == ["Sigmoid"]
