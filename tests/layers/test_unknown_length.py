"""Layers that branch on a length: one that is known only at run time gives the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.blocks.blstm import BLSTM
from demucs_tf.blocks.local_state import LocalState
from demucs_tf.blocks.spectrogram import pad1d
from demucs_tf.layers import attention
from demucs_tf.layers.attention import MultiheadAttention


def attend(length: int) -> Callable[[Any], Any]:
    """Attention of another number of keys than queries."""
    layer = MultiheadAttention(4, 2, dtype="float64")
    keys = tf.random.stateless_normal([2, length, 4], [1, 2], dtype=tf.float64)
    return lambda x: layer(x, keys, keys)


BLOCK = attention._BLOCK
# What makes the function, the axis of time, lengths on either side of its branches
ROWS: dict[str, tuple[Callable[[], Callable[[Any], Any]], int, list[int]]] = {
    "attention by blocks": (lambda: attend(5), 1, [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK]),
    "LSTM in frames": (
        lambda: BLSTM(4, layers=1, max_steps=8, skip=True, dtype="float64"),
        1,
        [1, 7, 8, 9, 12, 21],
    ),
    "attention with decay": (lambda: LocalState(4, 2, 2, dtype="float64"), 1, [1, 6]),
    "reflection": (lambda: lambda x: pad1d(x, 3, 6, True), 2, [1, 3, 4, 6, 7, 20]),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_graph_of_unknown_length_equals_a_known_one(row: str) -> None:
    make, axis, lengths = ROWS[row]
    function = make()
    shape: list[int | None] = [2, 4, 4]
    shape[axis] = None
    graph = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float64)])
    for length in lengths:
        x = np.random.default_rng(length).normal(size=[size or length for size in shape])
        found, wanted = graph(x).numpy(), function(tf.constant(x)).numpy()
        assert found.shape == wanted.shape
        assert np.max(np.abs(found - wanted)) <= 1e-14, length
    assert graph.experimental_get_tracing_count() == 1
