"""Positions that are moved at random in training: as the reference draws, and in graphs anew."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.blocks.embedding import augmented
from demucs_tf.blocks.transformer import CrossTransformerEncoder

STEPS = np.arange(3, dtype=np.float32)[:, None] + 1
PERIOD = 20.0
ITEMS = 300
DRAWS = {"of all steps": (0.5, 0.0, 1.0), "of each": (0.0, 0.5, 1.0), "factor": (0.0, 0.0, 1.4)}


def moved(found: Any) -> Any:
    """The steps (T, B) that a result of `augmented` is of, from its slowest sinusoid."""
    found = np.asarray(found, np.float64)
    return PERIOD * np.arctan2(found[..., 3], found[..., 1])


def test_the_draws_and_their_order_are_the_references() -> None:
    np.random.seed(3)  # noqa: NPY002
    found = moved(augmented(STEPS, 2, (0.5, 0.25, 1.4), 4, PERIOD))
    stream = np.random.RandomState(3)
    delta = stream.uniform(-0.5, 0.5, (1, 2, 1))
    local = stream.uniform(-0.25, 0.25, (3, 2, 1))
    log = stream.uniform(-math.log(1.4), math.log(1.4), (1, 2, 1))
    wanted = (STEPS[..., None] + delta + local) * np.exp(log)
    np.testing.assert_allclose(found, wanted[..., 0], atol=2e-5)


@pytest.mark.parametrize("name", DRAWS)
def test_a_graph_draws_by_itself(name: str) -> None:
    tf.random.set_seed(5)
    signature = [tf.TensorSpec([None, 1], tf.float32), tf.TensorSpec([], tf.int32)]
    graph = tf.function(
        lambda steps, batch: augmented(steps, batch, DRAWS[name], 4, PERIOD),
        input_signature=signature,
    )
    first, second = (moved(graph(STEPS, ITEMS)) for _ in range(2))
    assert first.shape == (3, ITEMS)
    assert np.abs(first - second).max() > 0.1  # each run draws anew
    change = np.log(first / STEPS) if name == "factor" else first - STEPS
    bound = math.log(1.4) if name == "factor" else 0.5
    assert bound * 0.95 < change.max() < bound + 1e-4
    assert -bound - 1e-4 < change.min() < -bound * 0.95
    assert abs(change.mean()) < bound / 5
    spread = np.ptp(change, axis=0)  # over the steps of an item
    assert spread.max() > bound if name == "of each" else spread.max() < 1e-4


def test_a_graph_that_trains_draws_a_shift_for_each_step() -> None:
    layer = CrossTransformerEncoder(
        dim=8, emb="sin", hidden_scale=1.0, num_heads=1, num_layers=0, cross_first=False,
        dropout=0.0, max_positions=10, norm_in=False, norm_in_group=False, group_norm=0,
        norm_first=True, norm_out=False, max_period=PERIOD, layer_scale=False, gelu=True,
        sin_random_shift=3, weight_pos_embed=1.0, cape_mean_normalize=True,
    )  # fmt: skip
    spectrum, wave = tf.zeros([2, 1, 5, 8]), tf.zeros([2, 6, 8])
    wanted = [np.asarray(layer(spectrum, wave, shift=shift)[1]) for shift in range(4)]
    tf.random.set_seed(5)
    graph = tf.function(lambda: layer(spectrum, wave, training=True)[1], autograph=False)
    drawn = set()
    for _ in range(40):
        found = graph()
        errors = [np.abs(np.asarray(found) - each).max() for each in wanted]
        drawn.add(int(np.argmin(errors)))
        assert min(errors) < 1e-6
    assert drawn == {0, 1, 2, 3}
