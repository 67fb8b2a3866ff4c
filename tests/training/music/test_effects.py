"""The mixing desk of `examples/music`, and the sum of its stems."""

from __future__ import annotations

import numpy as np
import pytest

from examples.music.compose.score import STEMS, Strip
from examples.music.render import effects
from examples.music.render.mix import mixed

RATE = effects.RATE
FLAT = Strip(0.0, 0.0, 0.0, 1000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def tone(hz: float, seconds: float = 1.0, level: float = 0.1) -> effects.Samples:
    wave = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([wave, wave], axis=1).astype(np.float32)


def gain_db(strip: Strip, hz: float) -> float:
    before, after = tone(hz), effects.equalised(tone(hz), strip)
    middle = slice(RATE // 4, 3 * RATE // 4)
    return float(20 * np.log10(after[middle].std() / before[middle].std()))


def test_each_band_lifts_its_frequencies_and_leaves_the_others() -> None:
    low = Strip(0, 0, 4.0, 1000, 0, 0, 0, 0, 0, 1)
    bell = Strip(0, 0, 0, 1000, -5.0, 0, 0, 0, 0, 1)
    high = Strip(0, 0, 0, 1000, 0, 3.0, 0, 0, 0, 1)
    assert gain_db(low, 30) == pytest.approx(4.0, abs=0.3)
    assert gain_db(low, 3000) == pytest.approx(0.0, abs=0.1)
    assert gain_db(bell, 1000) == pytest.approx(-5.0, abs=0.1)
    assert gain_db(bell, 50) == pytest.approx(0.0, abs=0.1)
    assert gain_db(high, 18000) == pytest.approx(3.0, abs=0.2)
    assert gain_db(high, 300) == pytest.approx(0.0, abs=0.1)
    assert gain_db(FLAT, 700) == pytest.approx(0.0, abs=1e-3)


def test_loudness_counts_what_is_heard() -> None:
    """A sine of level 0.1 has 23 dB below full scale, with rests or without."""
    heard = tone(440)
    assert effects.loudness(heard) == pytest.approx(-23.01, abs=0.01)
    rests = np.concatenate([np.zeros_like(heard), heard, np.zeros_like(heard)])
    assert effects.loudness(rests) == pytest.approx(-23.01, abs=0.01)
    assert effects.loudness(np.zeros((RATE, 2), np.float32)) == -np.inf


def test_levelled_reaches_its_level_and_leaves_silence() -> None:
    assert effects.loudness(effects.levelled(tone(440), -12.0)) == pytest.approx(-12.0, abs=0.01)
    silence = np.zeros((RATE, 2), np.float32)
    assert not effects.levelled(silence, -12.0).any()


def test_compression_takes_its_share_of_the_difference() -> None:
    both = np.concatenate([tone(440, level=0.4), tone(440, level=0.04)])
    loud, soft = np.split(effects.squeezed(both, 0.5), 2)
    middle = slice(RATE // 4, 3 * RATE // 4)
    left = 20 * np.log10(loud[middle].std() / soft[middle].std())
    assert left == pytest.approx(10.0, abs=0.2)
    assert np.array_equal(effects.squeezed(both, 0.0), both)


@pytest.mark.parametrize("pan", [-1.0, -0.3, 0.0, 1.0])
def test_panning_keeps_the_power(pan: float) -> None:
    placed = effects.panned(tone(440), pan)
    power = np.square(placed).sum() / np.square(tone(440)).sum()
    assert power == pytest.approx(1.0, abs=1e-4)
    left, right = np.square(placed).sum(axis=0)
    assert (left > right) == (pan < 0)


def test_saturation_bends_peaks_only() -> None:
    assert np.abs(effects.saturated(tone(100, level=2.0), 1.0)).max() < 0.12
    quiet = tone(100, level=1e-4)
    assert np.abs(effects.saturated(quiet, 1.0) - quiet).max() < 1e-9


def test_a_room_fades_by_60_db() -> None:
    click = np.zeros((2 * RATE, 2), np.float32)
    click[0] = 1
    wet = effects.reverberated(click, 1.0, seed=1)
    power = np.square(wet).reshape(-1, RATE // 20, 2).mean(axis=(1, 2))  # twentieths of a second
    assert 10 * np.log10(power[2] / power[18]) == pytest.approx(48.0, abs=4.0)
    assert power[22:].max() < 1e-12
    assert np.array_equal(wet, effects.reverberated(click, 1.0, seed=1))
    assert np.abs(wet[:, 0] - wet[:, 1]).max() > 0


def test_a_channel_keeps_the_shape_and_reaches_its_level() -> None:
    strip = Strip(-3.0, 0.4, 2.0, 700.0, 3.0, -2.0, 0.5, 0.4, 0.2, 0.5)
    out = effects.channel(tone(220), strip, seed=3)
    assert out.shape == (RATE, 2)
    assert out.dtype == np.float32
    assert effects.loudness(out) == pytest.approx(-23.0, abs=0.01)


def test_the_mixture_is_the_sum_of_the_stems_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    buses = {stem: rng.standard_normal((RATE, 2)).astype(np.float32) for stem in STEMS}
    stems = mixed(buses, (0.0, -2.0, 3.0, 1.0))
    total = sum(stems[stem].astype(np.int64) for stem in STEMS)
    assert np.array_equal(stems["mixture"], total)
    assert all(samples.dtype == np.int16 for samples in stems.values())
    assert max(np.abs(samples.astype(int)).max() for samples in stems.values()) <= 29494
    levels = [effects.loudness(stems[stem] / np.float32(32768)) for stem in STEMS]
    assert levels[1] - levels[0] == pytest.approx(-2.0, abs=0.01)
    assert levels[2] - levels[3] == pytest.approx(2.0, abs=0.01)


def test_a_stem_louder_than_the_mixture_does_not_clip() -> None:
    """Two stems that cancel each other."""
    buses = {stem: np.zeros((RATE, 2), np.float32) for stem in STEMS}
    buses["bass"], buses["other"] = tone(100), -tone(100)
    stems = mixed(buses, (0.0, 0.0, 0.0, 0.0))
    assert np.abs(stems["bass"].astype(int)).max() == pytest.approx(0.9 * 32767, abs=1)
    assert np.abs(stems["mixture"].astype(int)).max() <= 1
    assert not stems["drums"].any()
