"""Training: gradients reach every variable, and following them lowers the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def _model(dtype: str) -> Any:
    """Every kind of layer: branches on both sides, dilated, with attention and LSTM."""
    import keras

    from demucs_tf import DemucsTF

    keras.utils.set_random_seed(0)
    return DemucsTF(
        ["vocals", "rest"],
        channels=8,
        depth=2,
        kernel_size=4,
        stride=2,
        norm_starts=1,
        lstm_layers=1,
        dconv_mode=3,
        dconv_comp=1,
        dconv_attn=0,
        dconv_lstm=1,
        dconv_init=0.5,
        dtype=dtype,
    )


def _batch(dtype: str) -> tuple[Any, Any]:
    random = np.random.RandomState(0)
    stems = random.uniform(-0.5, 0.5, (2, 2, 2, 61)).astype(dtype)
    return stems.sum(axis=1), stems


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_variable_has_a_gradient_and_a_step_lowers_the_loss(dtype: str) -> None:
    import keras
    import tensorflow as tf

    model = _model(dtype)
    mix, stems = _batch(dtype)

    def loss() -> Any:
        return tf.reduce_mean(tf.abs(model(mix) - stems))

    with tf.GradientTape() as tape:
        before = loss()
    variables = model.trainable_variables
    gradients = tape.gradient(before, variables)
    assert len(variables) == len(model.variables) > 200
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None, variable.path
        values = np.asarray(gradient)
        assert values.shape == tuple(variable.shape), variable.path
        assert values.dtype == dtype, variable.path
        assert np.isfinite(values).all(), variable.path
        assert values.any(), variable.path
    keras.optimizers.SGD(0.05).apply_gradients(zip(gradients, variables, strict=True))
    after = loss()
    assert float(after) < float(before), f"{float(before)} before the step, {float(after)} after"


def test_gradients_of_a_framed_lstm() -> None:
    """An input longer than `max_steps`, which goes through overlapping frames."""
    import tensorflow as tf

    from demucs_tf.blocks.blstm import BLSTM

    layer = BLSTM(2, layers=1, max_steps=8, skip=True, dtype="float64")
    x = tf.constant(np.random.RandomState(0).uniform(-1, 1, (1, 21, 2)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.square(layer(x)))
    slope = np.asarray(tape.gradient(loss, x))
    for place in ((0, 0, 0), (0, 7, 1), (0, 20, 0)):  # against the difference quotient
        nudge = np.zeros(x.shape)
        nudge[place] = 1e-6
        ends = [float(tf.reduce_sum(tf.square(layer(x + sign * nudge)))) for sign in (1, -1)]
        assert slope[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)
