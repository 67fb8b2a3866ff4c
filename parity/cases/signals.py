"""Input signals: seeded, and on a grid of 2^-23, so that float32 holds them exactly.

NumPy's `RandomState` is frozen: the same seed gives the same numbers in every version.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core.result import ParityError

Array = npt.NDArray[np.float64]
GRID = 2.0**23
AUDIO = "PARITY_AUDIO"
MUSIC = {".flac", ".mp3", ".wav"}


def make(name: str, shape: tuple[int, int, int], seed: int) -> Array:
    """The signal `name` as (B, A, T), every batch item and channel different."""
    signal = SIGNALS[name](shape, np.random.RandomState(seed))
    return np.round(signal * GRID) / GRID


def piece(seconds: float, rate: int = 44100) -> Array:
    """A short stereo piece, rendered: chords, a bass line, and noise for drums, (2, T)."""
    random = np.random.RandomState(2026)
    count = int(seconds * rate)
    time = np.arange(count) / rate
    left, right = np.zeros(count), np.zeros(count)
    beat = 0.5
    chords = ((220.0, 261.63, 329.63), (174.61, 220.0, 261.63), (196.0, 246.94, 293.66))
    for number in range(int(np.ceil(seconds / beat))):
        since = time - number * beat
        sounding = np.where(since >= 0, since, np.inf)
        notes = chords[number // 4 % len(chords)]
        for index, note in enumerate(notes):
            tone = 0.12 * np.exp(-3 * sounding) * _harmonics(note, np.maximum(since, 0))
            left += tone * (0.3 + 0.35 * index)
            right += tone * (1.0 - 0.35 * index)
        bass = 0.25 * np.exp(-4 * sounding) * _harmonics(notes[0] / 4, np.maximum(since, 0))
        hit = 0.2 * np.exp(-(25 if number % 2 else 60) * sounding) * random.uniform(-1, 1, count)
        left += bass + hit
        right += bass + hit * 0.8
    return np.stack([left, right])


def _harmonics(frequency: float, time: Array) -> Array:
    waves: Array = np.zeros_like(time)
    for number in range(1, 6):
        waves += np.sin(2 * np.pi * frequency * number * time) / number
    return waves


def _piece(shape: tuple[int, int, int], random: np.random.RandomState) -> Array:
    """Batch items and channels are other stretches of the piece, from the onset of a chord."""
    batch, channels, length = shape
    rendered = piece(2.0 + length / 44100)
    starts = random.randint(0, 44100, size=(batch, channels))
    rows = [[rendered[c % 2, s : s + length] for c, s in enumerate(item)] for item in starts]
    return np.array(rows)


def _noise(shape: tuple[int, int, int], random: np.random.RandomState) -> Array:
    return random.uniform(-0.9, 0.9, shape)


def _burst(shape: tuple[int, int, int], random: np.random.RandomState) -> Array:
    """Digital silence for two thirds, then noise."""
    signal = _noise(shape, random)
    signal[..., : 2 * shape[-1] // 3] = 0
    return signal


def _quiet(shape: tuple[int, int, int], random: np.random.RandomState) -> Array:
    """Noise at -80 dB of full scale."""
    return _noise(shape, random) * 1e-4


def _loud(shape: tuple[int, int, int], random: np.random.RandomState) -> Array:
    """Noise far above full scale."""
    return _noise(shape, random) * 60


def _music(shape: tuple[int, int, int], random: np.random.RandomState) -> Array:
    """Real music from the folder that the environment variable PARITY_AUDIO names."""
    import soundfile

    batch, channels, length = shape
    path = music_file()
    if path is None:
        raise ParityError(f"This case needs real music: set {AUDIO} to a folder with FLAC files.")
    samples, _ = soundfile.read(path, dtype="float64", always_2d=True)
    start = len(samples) // 3
    rows = samples[start : start + batch * length, :channels]
    return rows.T.reshape(channels, batch, length).transpose(1, 0, 2).copy()


def music_file() -> Path | None:
    """The last FLAC file in the folder that PARITY_AUDIO names, or None where there is none."""
    return next((path for path in reversed(music_files()) if path.suffix == ".flac"), None)


def music_files() -> list[Path]:
    """The music in the folder that PARITY_AUDIO names, sorted by name."""
    folder = os.environ.get(AUDIO)
    return sorted(p for p in Path(folder).iterdir() if p.suffix in MUSIC) if folder else []


SIGNALS: dict[str, Callable[[tuple[int, int, int], Any], Array]] = {
    "piece": _piece,
    "noise": _noise,
    "burst": _burst,
    "quiet": _quiet,
    "loud": _loud,
    "music": _music,
}
