"""From syllables to a singer's movements: pitch, voice, breath, noise and formants over time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from examples.music.compose.score import Song, Syllable
from examples.music.instruments import Voice
from examples.music.render.phonemes import CONSONANTS, VOWELS, Consonant

RATE = 44100
STEP = 256  # samples from value to value
SPEED = RATE / STEP
Track = npt.NDArray[np.float64]


@dataclass
class Gestures:
    """Tracks of one value every STEP samples; formants and levels have three."""

    count: int
    pitch: Track = field(init=False)  # MIDI's numbers, with fractions
    voiced: Track = field(init=False)
    breath: Track = field(init=False)
    noise: Track = field(init=False)
    noise_hz: Track = field(init=False)
    noise_width: Track = field(init=False)
    formants: Track = field(init=False)
    levels: Track = field(init=False)

    def __post_init__(self) -> None:
        for name in ("pitch", "voiced", "breath", "noise"):
            setattr(self, name, np.zeros(self.count))
        self.noise_hz, self.noise_width = np.full(self.count, 5000.0), np.full(self.count, 2000.0)
        formants, levels = VOWELS["uh"]
        self.formants = np.tile(np.array(formants, np.float64), (self.count, 1))
        self.levels = np.tile(np.array(levels, np.float64), (self.count, 1))

    def between(self, start: float, end: float) -> slice:
        """The values of a stretch of seconds."""
        return slice(max(0, round(start * SPEED)), max(0, round(end * SPEED)))


def gestures(song: Song, tempo: float, seconds: float, rng: np.random.Generator) -> Gestures:
    """Draw the movements of one take of `song`; `rng` decides what no score says."""
    score = Gestures(int(np.ceil(seconds * SPEED)) + 8)
    beat = 60 / tempo
    notes = [note for note in song.notes if note.start * beat < seconds]
    bend = np.zeros(score.count)
    bright = song.voice.size**0.5 * rng.normal(1, 0.06)  # of this voice's consonants
    ended = -10.0
    for index, note in enumerate(notes):
        start = note.start * beat + rng.normal(0, 0.008)
        following = notes[index + 1].start * beat if index + 1 < len(notes) else seconds + 1
        end = min(note.start * beat + note.length * beat, following)
        if following - end < 0.1:
            end = following
        _consonant(score, note, start, ended, bright * rng.normal(1, 0.05))
        _vowel(score, note, start, end, released=following - end > 0.01)
        score.pitch[score.between(max(start - 0.1, ended), following + 9.0)] = note.pitch
        bend += _bend(score.count, song.voice, start, end, start - ended > 0.15, rng)
        if start - ended > 0.5:
            _breathe(score, start, rng)
        ended = end
    _smooth(score, song.voice, bend, rng)
    return score


def _consonant(score: Gestures, note: Syllable, start: float, ended: float, bright: float) -> None:
    if not note.consonant:
        return
    spoken = CONSONANTS[note.consonant]
    lead = start - spoken.length
    closed = score.between(max(lead - spoken.closed, ended - 0.08), lead)
    score.voiced[closed] = 0.12 if spoken.voiced else 0.0
    open_ = score.between(lead, start)
    gain = _gain(note)
    score.voiced[open_] = spoken.voiced * gain
    score.breath[open_] = spoken.breath * gain * 0.25
    _hiss(score, spoken, open_, gain, bright)
    if spoken.formants:
        for stretch in (closed, open_):
            score.formants[stretch] = spoken.formants
            score.levels[stretch] = (0, -14, -24)
    if spoken.breath and spoken.noise:  # p, t and k breathe into the vowel
        score.breath[score.between(start, start + 0.03)] = spoken.breath * gain * 0.25


def _hiss(score: Gestures, spoken: Consonant, stretch: slice, gain: float, bright: float) -> None:
    score.noise[stretch] = 0.6 * spoken.noise * gain
    if spoken.noise:
        around = slice(max(0, stretch.start - 2), stretch.stop + 2)
        score.noise_hz[around], score.noise_width[around] = bright * spoken.hz, spoken.width


def _vowel(score: Gestures, note: Syllable, start: float, end: float, released: bool) -> None:
    stretch = score.between(start, end)
    count = len(score.voiced[stretch])
    if not count:
        return
    swell = 0.85 + 0.15 * np.sin(np.pi * np.linspace(0, 1, count))
    if released:
        fading = min(count, round(0.12 * SPEED))
        swell[count - fading :] *= np.linspace(1, 0.1, fading)
    score.voiced[stretch] = _gain(note) * swell
    score.formants[stretch], score.levels[stretch] = VOWELS[note.vowel]


def _gain(note: Syllable) -> float:
    return float((note.velocity / 100) ** 1.5)


def _bend(
    count: int, voice: Voice, start: float, end: float, fresh: bool, rng: np.random.Generator
) -> Track:
    """Semitones: a scoop up to a phrase's first note, and vibrato that grows on long notes."""
    time = np.arange(count) / SPEED - start
    bend = np.zeros(count)
    if fresh and rng.random() < 0.5:
        bend += np.where(
            time > -0.1, -rng.uniform(0.5, 2.0) * np.exp(-np.maximum(time, 0) / 0.06), 0
        )
    rate = voice.vibrato_hz * rng.normal(1, 0.04)
    depth = voice.vibrato_cents / 100 * np.clip((time - rng.uniform(0.12, 0.35)) / 0.35, 0, 1)
    bend += depth * np.sin(2 * np.pi * (rate * time + rng.random()))
    bend[(time < -0.1) | (time > end - start)] = 0
    return bend


def _breathe(score: Gestures, start: float, rng: np.random.Generator) -> None:
    if rng.random() < 0.6:
        length = rng.uniform(0.15, 0.35)
        stretch = score.between(start - 0.12 - length, start - 0.12)
        count = len(score.breath[stretch])
        score.breath[stretch] = rng.uniform(0.01, 0.05) * np.hanning(count)


def _smooth(score: Gestures, voice: Voice, bend: Track, rng: np.random.Generator) -> None:
    """Muscles are slow; and nothing about a voice stands still."""
    first = score.pitch[np.flatnonzero(score.pitch)[:1]]
    score.pitch[score.pitch == 0] = first[0] if len(first) else 60.0
    drift = _hann(rng.standard_normal(score.count), 1.0) * 1.2
    jitter = rng.standard_normal(score.count) * 0.05
    score.pitch = _hann(score.pitch, 2 * voice.glide) + _hann(bend, 0.02) + drift + jitter
    score.voiced = _hann(score.voiced, 0.035) * (1 + 0.04 * rng.standard_normal(score.count))
    score.breath = _hann(score.breath, 0.02)
    score.noise = _hann(score.noise, 0.015)
    wander = _hann(rng.standard_normal((score.count, 3)), 0.4) * 0.15
    score.formants = _hann(score.formants, 0.06) * (1 + wander)
    score.levels = _hann(score.levels, 0.06)


def _hann(track: Track, seconds: float) -> Track:
    """The track averaged over a window of `seconds`; ends are held."""
    width = max(1, round(seconds * SPEED)) | 1
    if width == 1:
        return track
    window = np.hanning(width + 2)[1:-1]
    window /= window.sum()
    padded = np.pad(track, [(width // 2, width // 2)] + [(0, 0)] * (track.ndim - 1), mode="edge")
    if track.ndim == 1:
        return np.convolve(padded, window, "valid")
    return np.stack([np.convolve(column, window, "valid") for column in padded.T], axis=1)
