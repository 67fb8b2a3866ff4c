"""Layers that branch on a length: one that is known only at run time gives the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.blocks.blstm import BLSTM
from demucs_tf.blocks.local_state import LocalState
from demucs_tf.blocks.spectrogram import pad1d
from demucs_tf.layers import attention
from demucs_tf.layers.attention import MultiheadAttention
from demucs_tf.layers.base import joined, portable
from demucs_tf.layers.resample import resample_frac


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
    "LSTM of two layers in frames": (
        lambda: BLSTM(4, layers=2, max_steps=8, skip=True, dtype="float64"),
        1,
        [1, 2, 3, 7, 8, 9, 12, 13, 21],
    ),
    "attention with decay": (lambda: LocalState(4, 2, 2, dtype="float64"), 1, [1, 6]),
    "reflection": (lambda: lambda x: pad1d(x, 3, 6, True), 2, [1, 3, 4, 6, 7, 20]),
    "reflection on the left": (lambda: lambda x: pad1d(x, 6, 3, True), 2, [1, 3, 4, 6, 7, 20]),
    "faster": (lambda: lambda x: resample_frac(x, 4, 6), 2, [1, 2, 7, 20]),
    "slower": (lambda: lambda x: resample_frac(x, 6, 4), 2, [2, 7, 20]),
}


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("way", [nullcontext, portable, joined])
def test_a_graph_of_unknown_length_equals_a_known_one(row: str, way: Any) -> None:
    """Also one for other runtimes, and one that tracks are separated with, to its last digits."""
    make, axis, lengths = ROWS[row]
    function = make()
    shape: list[int | None] = [2, 4, 4]
    shape[axis] = None

    def call(x: Any) -> Any:
        with way():
            return function(x)

    signature = [tf.TensorSpec(shape, tf.float64)]
    graph = tf.function(call, input_signature=signature, autograph=False)
    for length in lengths:
        x = np.random.default_rng(length).normal(size=[size or length for size in shape])
        found, wanted = graph(x).numpy(), function(tf.constant(x)).numpy()
        assert found.shape == wanted.shape
        assert np.max(np.abs(found - wanted)) <= 1e-14, length
    assert graph.experimental_get_tracing_count() == 1


def test_what_is_too_short_to_be_reflected_gets_zeros_first() -> None:
    """On the right as far as they fit; the reference's rule, worked out by hand."""
    x = tf.constant([[[1.0, 2.0]]])
    assert pad1d(x, 4, 1, True).numpy().ravel().tolist() == [1, 0, 0, 0, 1, 2, 0]
    assert pad1d(x, 1, 4, True).numpy().ravel().tolist() == [2, 1, 2, 0, 0, 0, 0]
