"""Gradients of the inverse transform, where no window covers the first sample."""

from __future__ import annotations

import numpy as np
import pytest

from demucs_tf.layers.spectral import ispectro


@pytest.mark.parametrize("frames", [3, 9])  # with and without samples that all windows cover
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_frame_has_a_gradient_that_is_a_number(frames: int, dtype: str) -> None:
    import tensorflow as tf

    z = tf.constant(np.random.RandomState(0).normal(size=(1, 9, frames, 2, 2)), dtype)
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = tf.reduce_sum(tf.abs(ispectro(z, 4, 4 * (frames - 1))))
    slope = np.asarray(tape.gradient(loss, z))
    assert np.isfinite(slope).all()
    assert slope.any(axis=(0, 1, 3, 4)).all()
