"""Functions that have to equal torch's in float32 to the last bit, and what is made of them."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.blocks import embedding
from demucs_tf.layers import float32_math
from demucs_tf.layers.resample import sinc_kernel
from demucs_tf.layers.spectral import hann_window
from tests.support.fakes import Array

FUNCTIONS = {"sin": float32_math.sin, "cos": float32_math.cos}
WINDOWS = [2**n for n in range(4, 14)] + [20, 36, 100, 1000, 3000]
RATES = [
    (48000, 44100),
    (44100, 48000),
    (22050, 44100),
    (96000, 44100),
    (1, 2),
    (2, 1),
    (3, 2),
]
WIDTHS = sorted({*range(4, 129, 4), *range(32, 1089, 32)})
# What torch 2.13 gave with AVX-512 (the frequencies) and AVX2 (the periods), of a width's numbers
# those that are not correctly rounded: {width: {index: units in the last place}}.
FREQUENCIES = {
    64: {},
    72: {11: 1},
    192: {29: -1},
    384: {9: 1, 58: -1},
    512: {12: 1, 106: 1},
    768: {18: 1, 109: -1, 116: -1, 159: 1},
    960: {63: 1, 145: -1, 191: -1, 238: -1},
}
PERIODS = {
    64: {},
    192: {3: 1, 4: -1, 10: 1, 61: -1, 62: -1},
    384: {78: 1, 98: -1, 166: -1},
    512: {12: -1, 80: -1, 167: 1, 199: 1, 203: -1},
    1024: {5: -1, 261: 1, 314: -1, 319: -1, 327: -1, 357: -1, 436: 1, 475: 1, 495: -1},
}


def angles(low: float, high: float, count: int = 200_000) -> Array:
    drawn = np.random.default_rng(0).uniform(low, high, count)
    return np.concatenate([drawn, -drawn, [0, low, high]]).astype(np.float32)


def same_bits(found: Any, wanted: Any) -> bool:
    """Whether two float32 arrays agree, down to the sign of a zero."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype == np.float32
    return found.shape == wanted.shape and found.tobytes() == wanted.tobytes()


@pytest.fixture
def blocks_of_this_processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work powers out in blocks as large as torch's are here."""
    import torch

    block = {"AVX2": 16, "AVX512": 32}[torch.backends.cpu.get_cpu_capability()]
    monkeypatch.setattr(float32_math, "_POWER_BLOCK", block)
    embedding._periods.cache_clear()
    yield
    embedding._periods.cache_clear()


# Against torch and julius


@pytest.mark.live
@pytest.mark.parametrize("high", [1 / 64, math.pi / 2, 2 * math.pi, 100.0, 9999.0])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_sine_and_cosine_are_torchs(name: str, high: float) -> None:
    import torch

    x = angles(0, high)
    wanted = getattr(torch, name)(torch.from_numpy(x)).numpy()
    assert same_bits(FUNCTIONS[name](x), wanted)


@pytest.mark.live
def test_exponentials_are_torchs() -> None:
    import torch

    for low, high in ((-87, 87), (-9.3, 0)):
        x = np.random.default_rng(0).uniform(low, high, 1_000_000).astype(np.float32)
        assert same_bits(float32_math.exp(x), torch.exp(torch.from_numpy(x)).numpy())


@pytest.mark.live
@pytest.mark.usefixtures("blocks_of_this_processor")
@pytest.mark.parametrize("rest", [0, 1, 15, 16, 31])
@pytest.mark.parametrize("base", [100.0, 10000.0, 12345.678])
def test_powers_are_torchs(base: float, rest: int) -> None:
    import torch

    exponent = np.concatenate([np.linspace(0, 1, 4096), np.linspace(-2, 2, 992 + rest)])
    exponent = exponent.astype(np.float32)
    wanted = torch.pow(base, torch.from_numpy(exponent)).numpy()
    assert same_bits(float32_math.power(base, exponent), wanted)


@pytest.mark.live
@pytest.mark.parametrize("length", WINDOWS)
def test_windows_are_torchs(length: int) -> None:
    import torch

    assert same_bits(hann_window(length), torch.hann_window(length).numpy())


@pytest.mark.live
@pytest.mark.usefixtures("blocks_of_this_processor")
@pytest.mark.parametrize("shift", [0, 7])
@pytest.mark.parametrize("width", WIDTHS)
def test_sinusoids_are_the_references(width: int, shift: int) -> None:
    create = importlib.import_module("demucs.transformer").create_sin_embedding
    wanted = create(6000, width, shift=shift, max_period=10000.0).numpy()  # (T, 1, D)
    steps = np.arange(6000, dtype=np.float32)[:, None] + np.float32(shift)
    found = embedding.sin_embedding(steps, width, 10000.0)
    if width in (384, 512):  # what published models have
        assert same_bits(found, wanted)
    # Beyond half a turn, one cosine in a million is off by one unit in the last place.
    assert found.dtype == np.float32
    assert np.count_nonzero(found != wanted) <= 3
    assert np.max(np.abs(found - wanted)) <= 2**-24


@pytest.mark.live
def test_two_dimensional_sinusoids_are_the_references() -> None:
    create = importlib.import_module("demucs.transformer").create_2d_sin_embedding
    for width in WIDTHS:
        for rows, columns in ((8, 336), (1, 3)):
            wanted = create(width, rows, columns, max_period=10000.0).numpy()  # (1, D, F, T)
            found = embedding.sin_embedding_2d(width, rows, columns, 10000.0)
            assert same_bits(found.transpose(2, 1, 0)[None], wanted), (width, rows, columns)
    wanted = create(512, 8, 4000, max_period=10000.0).numpy()
    found = embedding.sin_embedding_2d(512, 8, 4000, 10000.0)
    assert same_bits(found.transpose(2, 1, 0)[None], wanted)


@pytest.mark.live
@pytest.mark.parametrize("rates", RATES, ids=str)
def test_filters_are_those_of_julius(rates: tuple[int, int]) -> None:
    from julius import ResampleFrac

    common = math.gcd(*rates)
    old, new = rates[0] // common, rates[1] // common
    wanted = ResampleFrac(old, new, 24, 0.945).kernel.numpy()[:, 0]
    assert same_bits(sinc_kernel(old, new), wanted)


# Without them


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_tensor_gives_what_an_array_gives(name: str) -> None:
    x = angles(0, 9999.0, 20_000)
    in_a_graph = tf.function(FUNCTIONS[name])
    assert same_bits(FUNCTIONS[name](tf.constant(x)).numpy(), FUNCTIONS[name](x))
    assert same_bits(in_a_graph(tf.constant(x)).numpy(), FUNCTIONS[name](x))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_error_is_below_a_unit_in_the_last_place(name: str) -> None:
    x = angles(-9999.0, 9999.0, 20_000)
    exact = getattr(np, name)(x.astype(np.float64))
    found = FUNCTIONS[name](x)
    error = np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32))
    assert error.max() < 1
    assert error.max() > 0.5  # it is not correctly rounded, as torch's is not


def test_large_angles_are_correctly_rounded() -> None:
    x = angles(10_000, 1e6, 1000)
    assert same_bits(float32_math.sin(x), np.sin(x.astype(np.float64)).astype(np.float32))


def units(found: Array, exact: Array) -> dict[int, int]:
    """Where `found` is not the nearest float32 number, and by how many units in the last place."""
    nearest = exact.astype(np.float32)
    away = found.view(np.int32).astype(int) - nearest.view(np.int32)
    return {int(index): int(away[index]) for index in np.flatnonzero(away)}


@pytest.mark.parametrize("width", FREQUENCIES)
def test_frequencies_are_rounded_as_torchs(width: int) -> None:
    exponent = np.arange(0, width // 2, 2, dtype=np.float32)
    exponent *= np.float32(-math.log(10000.0) / (width // 2))
    exact = np.exp(exponent.astype(np.float64))
    assert units(embedding._frequencies(width, 10000.0), exact) == FREQUENCIES[width]


@pytest.mark.parametrize("width", PERIODS)
def test_periods_are_rounded_as_torchs(width: int) -> None:
    exponent = np.arange(width // 2, dtype=np.float32) / np.float32(width // 2 - 1)
    exact = 10000.0 ** exponent.astype(np.float64)
    assert units(embedding._periods(width, 10000.0), exact) == PERIODS[width]


def test_the_logarithm_is_exact_to_where_its_series_ends() -> None:
    for x in np.geomspace(1e-3, 1e5, 1000):
        assert abs(float32_math._log(float(x)) - math.log(x)) < 4e-11


def test_power_of_simple_exponents() -> None:
    found = float32_math.power(10000.0, np.array([0, 0.5, 1], np.float32))
    assert found.tolist() == [1, 100, 10000]


@pytest.mark.parametrize("static", [True, False], ids=["array", "unknown shift"])
@pytest.mark.parametrize("width", [8, 384, 512])
def test_sinusoids_of_a_tensor_are_those_of_an_array(width: int, static: bool) -> None:
    """Also in a graph, where TensorFlow would multiply by the reciprocal of a constant."""
    steps = np.arange(1500, dtype=np.float32)[:, None]
    wanted = embedding.sin_embedding(steps + np.float32(3), width, 10000.0)

    def of_shift(shift: Any) -> Any:
        known = steps if static else tf.cast(tf.range(1500), tf.float32)[:, None]
        return embedding.sin_embedding(known + shift, width, 10000.0)

    spec = tf.TensorSpec([1, 1], tf.float32)
    found = tf.function(of_shift, input_signature=[spec])(tf.constant([[3.0]]))
    assert same_bits(found.numpy(), wanted)


def test_two_dimensional_sinusoids_have_columns_first() -> None:
    found = embedding.sin_embedding_2d(16, 3, 5, 10000.0)
    assert found.shape == (5, 3, 16)
    assert found.dtype == np.float32
    assert (found[:, 0, :8] == found[:, 2, :8]).all()  # the first half knows the column
    assert (found[0, :, 8:] == found[4, :, 8:]).all()  # the second the row
    assert (found[0, 0] == [0, 1] * 8).all()  # sine, cosine
    in_a_graph = tf.function(lambda width: embedding.sin_embedding_2d(16, 3, width, 10000.0))
    assert same_bits(in_a_graph(tf.constant(5)).numpy(), found)


def test_a_window_is_periodic() -> None:
    window = hann_window(64)
    assert window[0] == 0
    assert window[32] == 1
    assert np.max(np.abs(window[1:] - window[:0:-1])) <= 1e-6
    assert np.max(np.abs(window + np.roll(window, 32) - 1)) <= 1e-6


def test_filters_sum_to_one() -> None:
    for old, new in RATES:
        common = math.gcd(old, new)
        kernel = sinc_kernel(old // common, new // common)
        assert np.max(np.abs(kernel.sum(1, dtype=np.float64) - 1)) <= 1e-6
