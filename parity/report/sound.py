"""Stems as pictures, curves and clips for the page: what the numbers mean to eyes and ears."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core.compare import snr_db
from parity.core.kept.sound import Sound
from parity.report.pictures import data_url, png

Array = npt.NDArray[Any]

WINDOW = 2048  # samples of a spectrum
WIDE, HIGH = 360, 96  # pixels of a spectrogram
RANGE = 90.0  # dB from black to white
POINTS = 240  # of a curve
CLIP = 2.0  # seconds that are played
LOUDEST = 0.25  # peak of the raised difference
FLOOR = 1e-12


@dataclass(frozen=True)
class Picture:
    """A spectrogram as a data URL, and from which level to which it goes, in dB."""

    title: str
    url: str
    low: float
    high: float


@dataclass(frozen=True)
class Clip:
    """A sound as a data URL."""

    title: str
    url: str


@dataclass(frozen=True)
class Stem:
    """One stem: how far apart both sides are, over time and frequency.

    `signal` and `error` are levels in dB over time as points of a polyline in a box of `POINTS` by
    100, `low` and `high` the levels at its bottom and top; `borders` are where chunks begin in it.
    """

    name: str
    snr: float
    pictures: tuple[Picture, ...]
    signal: str
    error: str
    low: float
    high: float
    seconds: float
    borders: tuple[float, ...] = ()


@dataclass(frozen=True)
class Heard:
    """What the page shows of a `Sound`: all stems, and clips of the one with the lowest SNR."""

    stems: tuple[Stem, ...]
    worst: str
    clips: tuple[Clip, ...]


def heard(sound: Sound) -> Heard:
    """Work out pictures, curves and clips."""
    stems = tuple(
        _stem(name, e, a.astype(np.float64), sound)
        for name, e, a in zip(sound.names, sound.expected, sound.actual, strict=True)
    )
    index = int(np.argmin([stem.snr for stem in stems]))
    return Heard(stems, sound.names[index], _clips(sound, index))


def _stem(name: str, expected: Array, actual: Array, sound: Sound) -> Stem:
    """Pictures and curves are of all channels together, the SNR of each for itself."""
    e, a = expected.mean(axis=0), actual.mean(axis=0)
    signal, error = _levels(e), _levels(a - e)
    low, high = float(min(signal.min(), error.min())), float(max(signal.max(), error.max()))
    pictures = [_picture(title, x) for title, x in (("reference", e), ("port", a))]
    return Stem(
        name=name,
        snr=snr_db(actual, expected),
        pictures=(*pictures, _picture("difference", a - e)),
        signal=_polyline(signal, low, high),
        error=_polyline(error, low, high),
        low=low,
        high=high,
        seconds=len(e) / sound.rate,
        borders=tuple(round((len(signal) - 1) * b / len(e), 1) for b in sound.borders),
    )


def _levels(x: Array) -> Array:
    parts = np.array_split(x, min(POINTS, len(x)))
    return np.asarray([_decibel(float(np.sqrt(np.mean(part**2)))) for part in parts])


def _decibel(level: float) -> float:
    return float(20 * np.log10(max(level, FLOOR)))


def _polyline(levels: Array, low: float, high: float) -> str:
    heights = 100 * (high - levels) / max(high - low, 1e-9)
    return " ".join(f"{x},{y:.1f}" for x, y in enumerate(heights))


def _picture(title: str, x: Array) -> Picture:
    levels = _spectrogram(x)
    high = float(levels.max())
    grey = np.clip((levels - high + RANGE) / RANGE, 0, 1)
    url = data_url("image/png", png((255 * grey).astype(np.uint8)))
    return Picture(title, url, high - RANGE, high)


def _spectrogram(x: Array) -> Array:
    """Levels in dB, low frequencies at the bottom, spaced as octaves are."""
    size = min(WINDOW, len(x))
    starts = np.linspace(0, len(x) - size, WIDE).astype(int)
    frames = np.stack([x[start : start + size] for start in starts]) * np.hanning(size)
    power = np.abs(np.fft.rfft(frames)) / size
    edges = np.unique(np.geomspace(1, power.shape[1], HIGH + 1).astype(int))
    rows = np.maximum.reduceat(power, edges[:-1], axis=1).T[::-1]
    return np.asarray(20 * np.log10(np.maximum(rows, FLOOR)))


def _clips(sound: Sound, index: int) -> tuple[Clip, ...]:
    """The loudest stretch of a stem of both sides, and their difference, raised."""
    e, a = sound.expected[index], sound.actual[index].astype(np.float64)
    length = min(e.shape[-1], int(CLIP * sound.rate))
    loudness = np.convolve(np.sum(e**2, axis=0), np.ones(length), "valid")
    cut = slice(int(np.argmax(loudness)), int(np.argmax(loudness)) + length)
    peak = float(np.max(np.abs(e[:, cut]))) or 1.0
    difference = a[:, cut] - e[:, cut]
    largest = float(np.max(np.abs(difference)))
    clips = [
        Clip("reference", _flac(e[:, cut] / peak, sound.rate)),
        Clip("port", _flac(a[:, cut] / peak, sound.rate)),
    ]
    if largest:
        raised = _decibel(LOUDEST * peak / largest)
        title = f"difference, raised by {raised:.0f} dB"
        clips.append(Clip(title, _flac(difference * (LOUDEST / largest), sound.rate)))
    return tuple(clips)


def _flac(samples: Array, rate: int) -> str:
    import soundfile

    buffer = io.BytesIO()
    mono = np.clip(samples.mean(axis=0), -1, 1)
    soundfile.write(buffer, mono, rate, format="FLAC", subtype="PCM_16")
    return data_url("audio/flac", buffer.getvalue())
