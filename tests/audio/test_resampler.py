"""Resampling and channel conversion of streams: the same bits as in memory, in bounded memory."""

from __future__ import annotations

import importlib
import itertools
import tracemalloc
from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from demucs_tf.audio import resampler
from demucs_tf.audio.convert import convert_audio, convert_blocks, convert_channels, resample
from demucs_tf.audio.resampler import Resampler, resampled_length
from demucs_tf.errors import AudioError
from demucs_tf.layers.resample import resample_frac, sinc_bands, sinc_kernel
from parity.core.compare import snr_db
from tests.support.fakes import Array, noise

PAIRS = ((48000, 44100), (22050, 44100), (8000, 44100), (44100, 8000), (3, 2), (192000, 44100))
ODD = ((44099, 44100), (44100, 3041), (3041, 44100))  # almost no common divisor


def cut(wav: Array, places: Sequence[int]) -> list[Array]:
    """`wav` in pieces; equal places give empty ones."""
    edges = [0, *sorted(place % (wav.shape[1] + 1) for place in places), wav.shape[1]]
    return [wav[:, a:b] for a, b in itertools.pairwise(edges)]


def pushed(parts: Sequence[Array], old: int, new: int, dtype: str) -> Array:
    converter = Resampler(old, new, parts[0].shape[0], dtype)
    out = [converter.push(part) for part in parts]
    return np.concatenate([*out, converter.flush()], axis=1)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(
    pair=st.sampled_from((*PAIRS, (6001, 6007))),  # the last one by bands
    channels=st.integers(1, 3),
    length=st.one_of(st.integers(1, 40), st.integers(1, 20000)),
    places=st.lists(st.integers(0, 1 << 20), max_size=8),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_any_split_gives_the_same_bits(
    pair: tuple[int, int], channels: int, length: int, places: list[int], dtype: str
) -> None:
    wav = noise(channels, length, dtype=dtype)
    with mock.patch.object(resampler, "_WINDOW_NUMBERS", 1 << 12):  # many products
        whole = resample(wav, *pair)
        found = pushed(cut(wav, places), *pair, dtype)
    assert whole.shape == (channels, resampled_length(length, *pair))
    assert found.dtype == dtype
    assert found.tobytes() == whole.tobytes()


@pytest.mark.parametrize("pair", [(6, 4), (4, 6), (48000, 44100)])
@pytest.mark.parametrize("length", [2, 7, 500])
def test_a_tensor_equals_a_stream(pair: tuple[int, int], length: int) -> None:
    wav = noise(2, length, dtype="float64")
    found = np.asarray(resample_frac(tf.constant(wav[None]), *pair))[0]
    np.testing.assert_allclose(found, pushed([wav], *pair, "float64"), rtol=0, atol=1e-12)


@pytest.mark.live
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("length", [1, 7, 100_000])
@pytest.mark.parametrize(("dtype", "least"), [("float32", 120), ("float64", 140)])
def test_a_stream_equals_julius(pair: tuple[int, int], length: int, dtype: str, least: int) -> None:
    julius = importlib.import_module("julius")
    import torch

    wav = noise(2, length, dtype=dtype)
    wanted = julius.resample_frac(torch.from_numpy(wav), *pair).numpy()
    found = pushed(cut(wav, [3, 50_000, 50_001]), *pair, dtype)
    assert found.shape == wanted.shape
    assert wanted.size == 0 or snr_db(found, wanted) > least


@pytest.mark.parametrize(
    ("old", "new", "length", "wanted"),
    [
        (2, 3, 11_184_813, 16_777_220),  # 16,777,219.5 is rounded up, to an even number
        (1, 3, 5_592_407, 16_777_220),  # 16,777,221 is rounded down, to a multiple of four
    ],
)
def test_a_long_stream_has_the_rounded_length(old: int, new: int, length: int, wanted: int) -> None:
    converter = Resampler(old, new, 1, "float32")
    block = np.zeros((1, 1 << 20), np.float32)
    found = 0
    for start in range(0, length, 1 << 20):
        found += converter.push(block[:, : length - start]).shape[1]
        assert found <= resampled_length(min(length, start + (1 << 20)), old, new)
    assert found + converter.flush().shape[1] == wanted


@settings(deadline=None, derandomize=True, max_examples=300)
@given(length=st.integers(0, 1 << 40), pair=st.sampled_from(PAIRS), more=st.integers(0, 1 << 20))
def test_more_samples_never_give_fewer(length: int, pair: tuple[int, int], more: int) -> None:
    """What was handed out before the end was known belongs to the output."""
    assert resampled_length(length, *pair) <= resampled_length(length + more, *pair)


def test_output_is_held_back_where_rounding_may_shorten_it() -> None:
    """Past 2**30 samples, 6.8 hours, float32 counts in steps of 128."""
    wav = noise(1, 300)
    plain = pushed([wav], 1, 2, "float32")
    far = 1 << 29
    found, most_held = [], 0
    with mock.patch.object(resampler, "_WINDOW_NUMBERS", 1):  # one window a product
        converter = Resampler(1, 2, 1, "float32")
        found.append(converter.push(wav[:, :1]))
        converter._received += far  # as if so many had come before
        converter._emitted += 2 * far
        for place in range(1, 300):
            found.append(converter.push(wav[:, place : place + 1]))
            assert converter._emitted <= resampled_length(far + place + 1, 1, 2)
            most_held = max(most_held, converter._held.shape[1])
        found.append(converter.flush())
    joined = np.concatenate(found, axis=1)
    assert most_held == 12, "63 samples more are rounded down, 52 are not computed yet"
    assert joined.shape[1] == 602, "640 as float32 has it, but there are only 301 windows"
    assert resampled_length(far + 300, 1, 2) == 2 * far + 602
    assert snr_db(joined[:, :600], plain) > 120


def test_memory_does_not_grow_with_the_track() -> None:
    converter = Resampler(48000, 44100, 2, "float32")
    block = noise(2, 1 << 16)
    tracemalloc.start()
    try:
        total = sum(converter.push(block).shape[1] for _ in range(100))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total > 5_000_000, "40 MB in float32"
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "pair", [(160, 147), (441, 80), (80, 441), (997, 1009), (1009, 997), (3041, 4410), (3001, 44)]
)
def test_bands_are_the_whole_filter_to_the_bit(pair: tuple[int, int]) -> None:
    kernel = np.array(sinc_kernel(*pair))
    starts, bands = sinc_bands(*pair)
    columns = starts[:, None] + np.arange(bands.shape[1])
    assert np.take_along_axis(kernel, columns, 1).tobytes() == bands.tobytes()
    np.put_along_axis(kernel, columns, 0, 1)
    assert np.abs(kernel).max() < 1e-20, "what the bands leave out"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bands_resample_as_the_whole_filter_does(dtype: str) -> None:
    wav = noise(2, 5000, dtype=dtype)
    found = []
    for most in (1, 1 << 22):
        resampler._filters.cache_clear()
        with mock.patch.object(resampler, "_KERNEL_NUMBERS", most):
            found.append(resample(wav, 997, 1009))
    resampler._filters.cache_clear()
    assert snr_db(found[0], found[1]) > (130 if dtype == "float32" else 300)


@pytest.mark.parametrize("pair", ODD)
def test_odd_rates_in_bounded_memory_and_time(pair: tuple[int, int]) -> None:
    old, new = pair
    seconds = np.arange(old) / old
    wav = np.sin(2 * np.pi * 200 * seconds)[None].astype("float32")
    resampler._filters.cache_clear()
    tracemalloc.start()
    try:
        found = resample(wav, old, new)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.shape == (1, new)
    inside = slice(new // 10, -new // 10)  # beyond the ends the last sample is repeated
    exact = np.sin(2 * np.pi * 200 * np.arange(new) / new)[None]
    assert snr_db(found[:, inside], exact[:, inside]) > 85, (
        "the filter's own ripple: 91 at any rate"
    )
    assert peak < 100_000_000, "the whole filter has up to 1,900,000,000 numbers"


def test_equal_rates_pass_blocks_through() -> None:
    converter = Resampler(44100, 44100, 2, "float32")
    block = noise(2, 5)
    assert converter.push(block) is block
    assert converter.flush().shape == (2, 0)


def test_a_stream_without_samples_stays_empty() -> None:
    converter = Resampler(48000, 44100, 2, "float64")
    assert converter.push(np.zeros((2, 0))).shape == (2, 0)
    assert converter.flush().shape == (2, 0)


@pytest.mark.parametrize("rate", [1, 999])
def test_rates_that_would_make_hours_of_a_small_file(rate: int) -> None:
    wav = noise(2, 3000)
    with pytest.raises(AudioError, match=rf"at least 1000 Hz, found {rate} Hz.* -ar 44100"):
        convert_audio(wav, rate, 44100, 2)
    with pytest.raises(AudioError, match=rf"at least 1000 Hz, found {rate} Hz"):
        next(convert_blocks([wav], rate, 8000, 2, "float32"))
    assert convert_audio(wav, 1000, 44100, 2).shape == (2, 132_300)
    assert convert_audio(wav, rate, rate, 2) is wav


def test_wrong_use_of_a_resampler() -> None:
    with pytest.raises(AudioError, match=r"3000001 to 44100 Hz needs a filter of .* ffmpeg"):
        Resampler(3_000_001, 44100, 1, "float32")
    converter = Resampler(48000, 44100, 2, "float32")
    with pytest.raises(ValueError, match=r"expected \(2 channels, samples\), got \(1, 5\)"):
        converter.push(noise(1, 5))
    converter.flush()
    with pytest.raises(ValueError, match=r"push\(\) after flush"):
        converter.push(noise(2, 5))


# --- channels and rates together --------------------------------------------------------------


@pytest.mark.parametrize(("found", "channels"), [(1, 2), (2, 2), (2, 1), (6, 2), (9, 1), (12, 1)])
@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_converted_blocks_equal_converted_audio(
    found: int, channels: int, rate: int, dtype: str
) -> None:
    """Blocks of one sample too: there np.mean adds in another order."""
    wav = noise(found, 5000)
    whole = convert_audio(wav.astype(dtype), rate, 44100, channels)
    parts: list[Any] = [*cut(wav[:, :40], range(40)), np.asfortranarray(wav[:, 40:])]
    blocks = list(convert_blocks(parts, rate, 44100, channels, dtype))
    assert all(block.shape[1] and block.dtype == dtype for block in blocks)
    assert np.concatenate(blocks, axis=1).tobytes() == whole.tobytes()


@pytest.mark.parametrize("channels", [2, 6])
def test_the_mean_is_what_numpy_computes(channels: int) -> None:
    wav = noise(channels, 999)
    assert np.array_equal(convert_channels(wav, 1), wav.mean(axis=0, keepdims=True))


def test_channels_that_can_not_be_converted_in_a_stream() -> None:
    with pytest.raises(AudioError, match="mono or at least 6 channels, found 2"):
        next(convert_blocks([noise(2, 5)], 44100, 44100, 6, "float32"))
