"""The instruments of the scenes: from a score to stereo samples, additive synthesis and noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
RATE = 44100
# Semitones above A; each progression has the roots and the thirds and fifths of four chords.
PROGRESSIONS = (
    ((0, 3, 7), (8, 12, 15), (3, 7, 10), (10, 14, 17)),
    ((0, 4, 7), (7, 11, 14), (9, 12, 16), (5, 9, 12)),
    ((0, 3, 7), (5, 8, 12), (7, 10, 14), (0, 3, 7)),
)
# Frequencies of the first three formants of a, e, i, o, u, as a tenor sings them.
VOWELS = (
    (650.0, 1080.0, 2650.0), (400.0, 1700.0, 2600.0), (290.0, 1870.0, 2800.0),
    (400.0, 800.0, 2600.0), (350.0, 600.0, 2700.0),
)  # fmt: skip
FORMANT_WIDTH = 110.0
FORMANT_GAINS = (1.0, 0.5, 0.2)
LASTS = 2.0  # seconds, then a string is damped within a tenth


@dataclass(frozen=True)
class Score:
    """What all instruments of a scene read: (T,) seconds, a beat, a key and its chords."""

    time: Array
    beat: float
    key: float
    chords: tuple[tuple[int, int, int], ...]

    @classmethod
    def draw(cls, random: Any, seconds: float) -> Score:
        """Tempo, key and progression from a `RandomState`."""
        return cls(
            np.arange(round(seconds * RATE)) / RATE,
            60 / random.uniform(96, 144),
            110.0 * 2 ** (random.randint(-5, 6) / 12),
            PROGRESSIONS[random.randint(len(PROGRESSIONS))],
        )

    @property
    def beats(self) -> range:
        """The numbers of all beats."""
        return range(int(np.ceil(self.time[-1] / self.beat)))

    def chord(self, beat: int) -> tuple[float, ...]:
        """The frequencies of the chord of a beat; a chord lasts two."""
        return tuple(self.key * 2 ** (n / 12) for n in self.chords[beat // 2 % len(self.chords)])

    def since(self, beat: float, lasts: float = LASTS) -> tuple[slice, Array]:
        """The samples of a note that starts on a beat, and the seconds gone by in each."""
        first = min(int(np.ceil(beat * self.beat * RATE)), len(self.time))
        place = slice(first, first + round(lasts * RATE))
        return place, self.time[place] - beat * self.beat


def _stereo(mono: Array, pan: float, late: int = 0) -> Array:
    """(T,) -> (2, T): louder on one side, and `late` samples later on the other."""
    delayed = np.concatenate([np.zeros(late), mono[: len(mono) - late]])
    return np.stack([mono * (1 - pan), delayed * (1 + pan)])


def _partials(frequency: float, t: Array, count: int, stretch: float, damping: float) -> Array:
    """A struck or plucked string: overtones that fade the sooner the higher they are."""
    total = np.zeros_like(t)
    for n in range(1, count + 1):
        pitch = n * frequency * np.sqrt(1 + stretch * n * n)
        if pitch < RATE / 2:
            total += np.sin(2 * np.pi * pitch * t) * np.exp(-damping * (1 + 0.3 * n) * t) / n
    return total * np.clip((LASTS - t) / 0.1, 0, 1)


def drums(score: Score, random: Any) -> Array:
    """Kick on the beat, snare on every second, hi-hat on the halves between."""
    out = np.zeros((2, len(score.time)))
    for beat in score.beats:
        place, t = score.since(beat)
        kick = np.sin(2 * np.pi * (48 * t + 2.2 * (1 - np.exp(-35 * t)))) * np.exp(-11 * t)
        out[:, place] += kick
        if beat % 2:
            noise = random.uniform(-1, 1, (2, len(t)))
            body = 0.5 * np.sin(2 * np.pi * 187 * t) * np.exp(-25 * t)
            out[:, place] += 0.6 * noise * np.exp(-18 * t) + body
        place, t = score.since(beat + 0.5)
        bright = np.diff(random.uniform(-1, 1, (2, len(t) + 1)))  # no lows
        out[:, place] += 0.2 * bright * np.exp(-60 * t)
    return out


def bass(score: Score, random: Any) -> Array:
    """The root of each chord, an octave down, on the beat and sometimes between."""
    mono = np.zeros(len(score.time))
    for beat in score.beats:
        for offset in (0.0, 0.5) if random.uniform() < 0.4 else (0.0,):
            place, t = score.since(beat + offset)
            mono[place] += _partials(score.chord(beat)[0] / 2, t, 8, 0.0, 2.5) * np.exp(-2 * t)
    return _stereo(mono, 0.05)


def other(score: Score, random: Any) -> Array:
    """A pad: the chord on detuned saws, which swell, another phase on each side."""
    out = np.zeros((2, len(score.time)))
    for beat in score.beats[::2]:
        place, t = score.since(beat, 2 * score.beat + 0.1)
        swell = np.clip(t / 0.05, 0, 1) * np.clip((2 * score.beat + 0.1 - t) / 0.1, 0, 1)
        for note in score.chord(beat):
            for n in range(1, 9):
                phases = random.uniform(0, 2 * np.pi, (2, 1))
                detuned = 2 * np.pi * n * note * 2 * np.array([[0.998], [1.002]]) * t
                out[:, place] += swell * np.sin(detuned + phases) / n
    return out


def vocals(score: Score, random: Any) -> Array:
    """A voice: vibrato, glides from note to note, formants from vowel to vowel, and breath."""
    count = len(score.time)
    places = score.time / score.beat
    knots = np.arange(len(score.beats) + 2)
    notes = [score.chord(int(k))[random.randint(3)] * 2 for k in knots]
    held = np.clip((places - np.floor(places)) * 6, 0, 1)  # a sixth of a beat glides
    index = np.floor(places).astype(int)
    pitch = np.array(notes)[index] * (1 - held) + np.array(notes)[index + 1] * held
    vibrato = 1 + 0.008 * np.sin(2 * np.pi * 5.5 * score.time + random.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch * vibrato) / RATE
    vowels = np.array(VOWELS)[random.randint(len(VOWELS), size=len(knots))]
    formants = [np.interp(places, knots, vowels[:, k]) for k in range(3)]
    breath = np.diff(random.uniform(-1, 1, count + 1)) * 0.01
    mono = breath.copy()
    for n in range(1, 25):
        resonance = sum(
            gain / (1 + ((n * pitch - formant) / FORMANT_WIDTH) ** 2)
            for gain, formant in zip(FORMANT_GAINS, formants, strict=True)
        )
        mono += np.sin(n * phase) * resonance / n**0.5
    syllables = 0.55 + 0.45 * np.cos(2 * np.pi * (places - 0.2))  # softer before each beat
    return _stereo(mono * syllables, 0.0, late=7)


def guitar(score: Score, random: Any) -> Array:
    """Chords strummed string by string, on the beat and between."""
    mono = np.zeros(len(score.time))
    for beat in score.beats:
        for string, note in enumerate(score.chord(beat)):
            place, t = score.since(beat + 0.03 * string + 0.5 * (random.uniform() < 0.3))
            mono[place] += _partials(note * 2, t, 12, 1e-5, 3.0)
    return _stereo(mono, -0.4, late=11)


def piano(score: Score, random: Any) -> Array:
    """Broken chords in eighths, two octaves up."""
    mono = np.zeros(len(score.time))
    for beat in score.beats:
        for half in (0, 1):
            place, t = score.since(beat + half / 2)
            note = score.chord(beat)[random.randint(3)] * 4
            mono[place] += _partials(note, t, 10, 4e-4, 2.0)
    return _stereo(mono, 0.35, late=5)


INSTRUMENTS: dict[str, Callable[[Score, Any], Array]] = {
    "drums": drums,
    "bass": bass,
    "other": other,
    "vocals": vocals,
    "guitar": guitar,
    "piano": piano,
}
