"""A voice in NumPy: a glottal pulse and breath, shaped by moving formants, and consonants.

The pulse comes from tables of one period that leave out what lies above half the sampling rate.
The formants are a filter that changes from block to block: each block of the source goes through
the Fourier transform, is multiplied with the mouth's response at that time, and overlaps its
neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from examples.music.compose.score import Song
from examples.music.instruments import Voice
from examples.music.render.gestures import RATE, STEP, Gestures, Track, gestures
from examples.music.render.phonemes import HIGHER

HOP = 2 * STEP
BLOCK = 2 * HOP
TABLE = 2048
Samples = npt.NDArray[np.float32]
# Frequencies in Hz and the blocks asked for -> a row of gains for each block.
Response = Callable[[Samples, npt.NDArray[np.int64]], npt.NDArray[np.generic]]


def sing(song: Song, tempo: float, seconds: float, seed: int) -> Samples:
    """Sing `song` once: (T,) float32 at 44.1 kHz, of no particular level.

    The same seed gives the same samples; another one gives another take of the same words.
    """
    rng = np.random.default_rng(seed)
    score = gestures(song, tempo, seconds, rng)
    count = round(seconds * RATE)
    pitch, voiced, aspired, hissing = (
        _each_sample(track, count)
        for track in (score.pitch, score.voiced, score.breath, score.noise)
    )
    phase = np.cumsum(440.0 / RATE * np.exp2((pitch - 69) / 12)) % 1.0
    # Breath is loudest while the glottis is open.
    breath = 0.1 * song.voice.breath * voiced * (0.3 + np.sin(np.pi * phase) ** 2) + aspired
    noise = rng.standard_normal((2, count), np.float32)
    source = glottis(phase, pitch) * voiced + noise[0] * breath
    mouth = _filtered(source.astype(np.float32), lambda f, b: _mouth(score, song.voice, f, b))
    teeth = _filtered((noise[1] * hissing).astype(np.float32), lambda f, b: _teeth(score, f, b))
    return mouth + teeth


def glottis(phase: Track, pitch: Track) -> Samples:
    """The derivative of the flow through the glottis at each phase, without aliases."""
    tables = _tables()
    row = np.clip(np.ceil((pitch - 36) / 4).astype(np.int64), 0, len(tables) - 1)
    place = phase * TABLE
    left = place.astype(np.int64)
    part = (place - left).astype(np.float32)
    return tables[row, left] * (1 - part) + tables[row, left + 1] * part


@lru_cache(maxsize=1)
def _tables() -> Samples:
    """One period for every four semitones from C2 up, each with the harmonics below 20 kHz."""
    time = np.arange(TABLE) / TABLE
    opening, closing = 0.42, 0.16  # shares of the period (Rosenberg's pulse)
    rise = 0.5 * (1 - np.cos(np.pi * time / opening))
    fall = np.cos(0.5 * np.pi * (time - opening) / closing)
    flow = np.where(time < opening, rise, np.where(time < opening + closing, fall, 0.0))
    spectrum = np.fft.rfft(np.diff(flow, append=flow[:1]) * TABLE / 8)
    spectrum[0] = 0
    rows = []
    for row in range(16):
        highest = 440.0 * 2 ** ((36 + 4 * row + 1 - 69) / 12)
        kept = spectrum.copy()
        kept[int(20000 / highest) + 1 :] = 0
        wave = np.fft.irfft(kept, TABLE)
        rows.append(np.append(wave, wave[0]))
    return np.array(rows, np.float32)


def _each_sample(track: Track, count: int) -> Track:
    return np.interp(np.arange(count) / STEP, np.arange(len(track)), track)


def _filtered(source: Samples, response: Response) -> Samples:
    """Filter `source` with a response that changes from block to block.

    Blocks are weighted by a window whose overlapping halves add up to one; silent ones are left
    out. Block b has its middle at the sample b HOP, and may ring for as long as it is.
    """
    count = len(source)
    blocks = -(-count // HOP) + 1
    padded = np.zeros((blocks + 1) * HOP, np.float32)
    padded[HOP : HOP + count] = source
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(BLOCK) / BLOCK)).astype(np.float32)
    frequencies = np.fft.rfftfreq(2 * BLOCK, 1 / RATE).astype(np.float32)
    views = np.lib.stride_tricks.sliding_window_view(padded, BLOCK)[::HOP]
    heard = np.flatnonzero(np.abs(views).max(axis=1) > 1e-6)
    result = np.zeros((blocks + 4) * HOP, np.float32)
    for start in range(0, len(heard), 512):
        some = heard[start : start + 512]
        spectra = fft.rfft(views[some] * window, 2 * BLOCK, axis=1)
        filtered = fft.irfft(spectra * response(frequencies, some), 2 * BLOCK, axis=1)
        for block, samples in zip(some, filtered, strict=True):
            result[block * HOP : block * HOP + 2 * BLOCK] += samples
    return result[HOP : HOP + count]


def _mouth(
    score: Gestures, voice: Voice, hz: Samples, blocks: npt.NDArray[np.int64]
) -> npt.NDArray[np.complex64]:
    """Resonances side by side, each with its level, and the slope of the voice: (blocks, F)."""
    at = np.minimum(2 * blocks, score.count - 1)
    sung = 440.0 * np.exp2((score.pitch[at] - 69) / 12)
    lowest = score.formants[at, 0] * voice.size
    total = np.zeros((len(blocks), len(hz)), np.complex64)
    for index in range(3 + len(HIGHER)):
        if index < 3:
            centre, level = score.formants[at, index] * voice.size, score.levels[at, index]
        else:
            centre = np.full(len(at), HIGHER[index - 3][0] * voice.size)
            level = np.full(len(at), HIGHER[index - 3][1])
        if index == 0:  # singers open the mouth where the pitch is above the first formant
            centre = np.maximum(centre, 1.05 * sung)
        # The tables' levels are of a spoken vowel; the pulse's own slope of 6 dB is taken out.
        gain = 10 ** ((level + voice.ring_db * (index in (2, 3))) / 20) * centre / lowest
        width = (60 + 0.045 * centre).astype(np.float32)[:, None]
        middle = centre.astype(np.float32)[:, None]
        through = 1j * hz * width
        sign = (-1) ** index * gain.astype(np.float32)[:, None]
        total += sign * through / (middle * middle - hz * hz + through)
    slope = 10 ** (-voice.tilt_db / 20 * np.log2(np.maximum(hz, 500) / 500))
    return (total * slope.astype(np.float32)).astype(np.complex64)


def _teeth(score: Gestures, hz: Samples, blocks: npt.NDArray[np.int64]) -> Samples:
    """A band of noise: (blocks, F)."""
    at = np.minimum(2 * blocks, score.count - 1)
    centre = score.noise_hz[at].astype(np.float32)[:, None]
    width = score.noise_width[at].astype(np.float32)[:, None]
    return np.exp(-0.5 * ((hz - centre) / width) ** 2).astype(np.float32)
