"""What the singer of `examples/music` sings: the pitches, vowels and consonants of its score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from examples.music.compose.melody import CONSONANTS as SPOKEN
from examples.music.compose.melody import VOWELS as SUNG
from examples.music.compose.score import Song, Strip, Syllable
from examples.music.instruments import VOICES, Voice
from examples.music.render import phonemes, singer
from examples.music.render.gestures import Track

RATE = singer.RATE
TENOR = replace(VOICES["train"][3], vibrato_cents=0.0, breath=0.0)
STRIP = Strip(0, 0, 0, 1000, 0, 0, 0, 0, 0, 1)


def voice_of(
    *notes: Syllable, voice: Voice = TENOR, seconds: float = 3.0, seed: int = 1
) -> npt.NDArray[np.float32]:
    song = Song(voice, notes, 1, STRIP)
    return singer.sing(song, tempo=60.0, seconds=seconds, seed=seed)


def vowel(name: str, pitch: int = 57, consonant: str = "") -> Syllable:
    return Syllable(0.5, 1.5, pitch, 100, consonant, name)


def spectrum(samples: npt.NDArray[np.float32]) -> tuple[Track, Track]:
    """Frequencies in Hz and the power at each."""
    hz = np.fft.rfftfreq(len(samples), 1 / RATE).astype(np.float64)
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return hz, power


def band(samples: npt.NDArray[np.float32], low: float, high: float) -> float:
    hz, power = spectrum(samples)
    return float(10 * np.log10(power[(hz >= low) & (hz < high)].sum()))


HELD = slice(round(0.9 * RATE), round(1.7 * RATE))


@pytest.mark.parametrize("pitch", [48, 57, 67])
def test_the_pitch_is_the_scores(pitch: int) -> None:
    held = voice_of(vowel("a", pitch))[HELD].astype(np.float64)
    padded = np.fft.rfft(held, 2 * len(held))
    echo = np.fft.irfft(np.abs(padded) ** 2)[: len(held) // 2]
    wanted = RATE / (440 * 2 ** ((pitch - 69) / 12))
    near = slice(round(wanted * 0.8), round(wanted * 1.25))
    lag = near.start + int(np.argmax(echo[near]))
    assert abs(1200 * np.log2(wanted / lag)) < 50  # cents: singers drift, lags are whole


def test_vowels_have_their_formants() -> None:
    """A's energy lies around 1 kHz; i's is low and above 2 kHz."""
    a, i = voice_of(vowel("a"))[HELD], voice_of(vowel("i"))[HELD]
    assert band(a, 600, 1400) - band(a, 200, 400) > 3
    assert band(i, 200, 400) - band(i, 600, 1400) > 15
    assert band(i, 2000, 3400) > band(i, 600, 1400)
    assert band(a, 600, 1400) - band(a, 2000, 3400) > 6


def test_a_larger_voice_has_lower_formants() -> None:
    middles = []
    for size in (0.9, 1.3):
        hz, power = spectrum(voice_of(vowel("a"), voice=replace(TENOR, size=size))[HELD])
        middles.append(np.average(hz[hz < 3000], weights=power[hz < 3000]))
    assert middles[1] > 1.2 * middles[0]


def test_vibrato_moves_the_pitch() -> None:
    def spread(cents: float) -> float:
        voice = replace(TENOR, vibrato_cents=cents)
        held = voice_of(vowel("a"), voice=voice)[HELD]
        hz, power = spectrum(held)
        near = (hz > 1600) & (hz < 1900)  # the eighth harmonic
        middle = np.average(hz[near], weights=power[near])
        return float(np.sqrt(np.average((hz[near] - middle) ** 2, weights=power[near])))

    assert spread(80.0) > spread(0.0) + 10


@pytest.mark.parametrize(("name", "hz"), [("s", 7500), ("sh", 3600)])
def test_fricatives_are_noise_before_the_vowel(name: str, hz: float) -> None:
    before = slice(round(0.4 * RATE), round(0.47 * RATE))
    hissed = voice_of(vowel("a", consonant=name))[before]
    assert np.abs(voice_of(vowel("a"))[before]).max() < 0.02 * np.abs(hissed).max()
    f, power = spectrum(hissed)
    assert abs(np.average(f, weights=power) / hz - 1) < 0.25


def test_plosives_close_the_mouth() -> None:
    samples = voice_of(Syllable(0.2, 0.6, 57, 100, "", "a"), vowel("a", consonant="t"))
    loud = np.sqrt(np.mean(samples[round(0.3 * RATE) : round(0.38 * RATE)] ** 2))
    shut = np.sqrt(np.mean(samples[round(0.44 * RATE) : round(0.46 * RATE)] ** 2))
    assert shut < 0.2 * loud


def test_rests_are_silent_but_for_a_breath_before_the_phrase() -> None:
    samples = voice_of(vowel("a"))
    loudest = np.abs(samples).max()
    assert np.abs(samples[: round(0.4 * RATE)]).max() < 0.05 * loudest
    assert np.abs(samples[round(2.3 * RATE) :]).max() < 1e-3 * loudest


def test_a_seed_is_a_take() -> None:
    notes = (vowel("o", consonant="l"),)
    first = voice_of(*notes, seed=1)
    assert np.array_equal(first, voice_of(*notes, seed=1))
    other = voice_of(*notes, seed=2)
    assert np.abs(first - other).max() > 0.1 * np.abs(first).max()
    assert first.dtype == np.float32
    assert len(first) == 3 * RATE


def test_the_highest_note_has_no_aliases() -> None:
    pitch = np.full(RATE, 81.3)
    hz = 440 * 2 ** ((81.3 - 69) / 12)
    f, power = spectrum(singer.glottis(np.cumsum(np.full(RATE, hz / RATE)) % 1, pitch))
    beside = np.abs(f / hz - np.rint(f / hz)) * hz > 20
    assert 10 * np.log10(power[beside].max() / power.max()) < -60


def test_the_blocks_add_up_to_the_source() -> None:
    source = np.random.default_rng(0).standard_normal(10_000, np.float32)
    same = singer._filtered(source, lambda hz, blocks: np.ones((len(blocks), len(hz)), np.float32))
    assert np.abs(same - source).max() < 1e-5


def test_all_that_is_composed_can_be_pronounced() -> None:
    assert set(SPOKEN) == set(phonemes.CONSONANTS)
    assert set(SUNG) == set(phonemes.VOWELS)
    for name in SPOKEN:
        assert np.isfinite(voice_of(vowel("er", consonant=name), seconds=1.0)).all()


def test_no_notes_are_silence() -> None:
    assert not voice_of(seconds=1.0).any()
