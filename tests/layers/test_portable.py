"""What layers compute otherwise for other runtimes is the same, in float64 to its last digits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.blocks.blstm import BLSTM
from demucs_tf.blocks.embedding import sin_embedding, sin_embedding_2d, sin_embedding_of_steps
from demucs_tf.blocks.local_state import LocalState
from demucs_tf.blocks.wiener import _atan2
from demucs_tf.layers.attention import MultiheadAttention
from demucs_tf.layers.base import portable
from demucs_tf.layers.conv import Conv1d, ConvTranspose1d, ConvTranspose2d
from demucs_tf.layers.norm import mean, unbiased_std
from demucs_tf.models.hdemucs import HDemucsTF
from demucs_tf.models.htdemucs import HTDemucsTF


def both(function: Callable[..., Any], *inputs: Any) -> tuple[Any, Any]:
    with portable():
        other = function(*inputs)
    return np.asarray(function(*inputs)), np.asarray(other)


def draw(*shape: int) -> Any:
    return tf.constant(np.random.RandomState(0).standard_normal(shape))


LAYERS = {
    "transposed": (lambda: ConvTranspose1d(6, 5, 8, 4, dtype="float64"), (2, 9, 6)),
    "transposed, kernel no multiple": (
        lambda: ConvTranspose1d(6, 5, 7, 3, dtype="float64"),
        (2, 9, 6),
    ),
    "transposed, one step": (lambda: ConvTranspose1d(6, 5, 8, 4, dtype="float64"), (2, 1, 6)),
    "transposed frequencies": (lambda: ConvTranspose2d(6, 5, 8, 4, dtype="float64"), (2, 9, 7, 6)),
    "transposed frequencies, kernel no multiple": (
        lambda: ConvTranspose2d(6, 5, 5, 2, dtype="float64"),
        (1, 9, 7, 6),
    ),
    "long sums": (lambda: Conv1d(700, 5, 3, dtype="float64"), (2, 9, 700)),
    "local state": (lambda: LocalState(8, dtype="float64"), (2, 20, 8)),
    "lstm": (lambda: BLSTM(6, layers=2, dtype="float64"), (2, 20, 6)),
    "lstm with steps left over": (lambda: BLSTM(6, layers=2, dtype="float64"), (2, 23, 6)),
    "lstm of three steps": (lambda: BLSTM(6, dtype="float64"), (2, 3, 6)),
    "lstm in frames": (lambda: BLSTM(6, max_steps=12, skip=True, dtype="float64"), (2, 41, 6)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    make, shape = LAYERS[name]
    native, other = both(make(), draw(*shape))
    assert other.shape == native.shape
    np.testing.assert_allclose(other, native, rtol=0, atol=1e-12)


def test_attention_over_more_queries_than_a_block_has() -> None:
    attention = MultiheadAttention(8, 2, dtype="float64")
    x = draw(1, 2000, 8)
    native, other = both(attention, x, x, x)
    np.testing.assert_allclose(other, native, rtol=0, atol=1e-12)


@pytest.mark.parametrize("statistic", [mean, unbiased_std])
@pytest.mark.parametrize("shape", [(2, 7), (3, 1000), (2, 2, 70_001)])
def test_statistics_in_float32(statistic: Any, shape: tuple[int, ...]) -> None:
    x = tf.cast(draw(*shape) + 0.25, tf.float32)
    native, other = both(statistic, x)
    np.testing.assert_allclose(other, native, rtol=3e-7)


@pytest.mark.parametrize("transform", ["_spec", "_separate"])
@pytest.mark.parametrize("hybrid", [True, False])
def test_fourier_transform(transform: str, hybrid: bool) -> None:
    options = {"hybrid": hybrid, "hybrid_old": hybrid}
    model = HDemucsTF(["a", "b"], channels=4, nfft=256, depth=4, **options, dtype="float64")
    native, other = both(getattr(model, transform), draw(2, 2, 3000))
    np.testing.assert_allclose(other, native, rtol=0, atol=1e-10 * np.abs(native).max())


@pytest.mark.parametrize(
    ("iterations", "residual"), [(0, False), (0, True), (1, False), (1, True), (2, True)]
)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("loud", [1, 1000])
def test_wiener_filter(iterations: int, residual: bool, channels: int, loud: int) -> None:
    """The angle of a silent bin, and of one without a real part, are pi's of float32."""
    options = {"cac": False, "wiener_iters": iterations, "end_iters": iterations}
    model = HDemucsTF(
        ["a", "b", "c"],
        channels,
        channels=4,
        nfft=64,
        depth=3,
        wiener_residual=residual,
        **options,
        dtype="float64",
    )
    z = loud * np.array(draw(2, 32, 310, channels, 2))
    z[:, 3] = 0
    magnitudes = loud * tf.abs(draw(2, 32, 310, 3, channels))
    native, other = both(partial(model._wiener, iterations=iterations), magnitudes, tf.constant(z))
    assert other.shape == native.shape
    assert np.linalg.norm(other - native) < 2e-7 * np.linalg.norm(native)


def test_angles_of_bins_without_one_of_their_parts() -> None:
    y = np.array([0, 1, -1, 0, 0, 2, -2, 1, -1.0])
    x = np.array([0, 0, 0, 1, -1, 3, 3, -4, -4.0])
    np.testing.assert_allclose(_atan2(tf.constant(y), tf.constant(x)), np.arctan2(y, x), atol=1e-7)


def test_positions() -> None:
    native = sin_embedding(np.arange(1344, dtype=np.float32)[:, None], 512, 10000.0)[:, 0]
    np.testing.assert_allclose(sin_embedding_of_steps(1344, 512, 10000.0), native, atol=1e-4)
    exact = sin_embedding_of_steps(1344, 512, 10000.0)
    periods = 10000.0 ** (np.arange(256) / 255)
    phase = np.arange(1344)[:, None] / periods
    truth = np.concatenate([np.cos(phase), np.sin(phase)], -1)
    assert np.abs(exact - truth).max() < 2 * np.abs(native - truth).max()


@pytest.mark.parametrize("shift", [0, 3])
def test_positions_that_are_shifted(shift: int) -> None:
    model = HTDemucsTF(["drums", "vocals"], channels=8, nfft=64, depth=2, t_layers=1, t_heads=2)
    transformer = model.crosstransformer
    assert transformer is not None
    xt = tf.zeros([2, 7, transformer.dim])
    native, other = both(lambda: transformer._sinusoids(xt, shift, False))
    assert native.shape == other.shape == (7, 1, xt.shape[2])
    np.testing.assert_allclose(other, native, rtol=0, atol=1e-6)
    np.testing.assert_allclose(native[0, 0, :2], np.cos([shift, shift / 1e4 ** (1 / 7)]), atol=1e-6)


def test_positions_of_frequency_and_time_are_the_same_numbers() -> None:
    native, other = both(lambda: sin_embedding_2d(16, 3, 5, 10000.0))
    np.testing.assert_array_equal(other, native)
