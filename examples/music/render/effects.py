"""A mixing desk's channel: bands, saturation, compression, place and room. Samples are (T, 2)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import signal

from examples.music.compose.score import Strip

RATE = 44100
BLOCK = 441  # samples; levels are followed in hundredths of a second
Samples = npt.NDArray[np.float32]


def channel(samples: Samples, strip: Strip, seed: int) -> Samples:
    """Send (T, 2) samples through `strip`; comes out at its level, next to others of level 0."""
    wet = equalised(levelled(samples, -20.0), strip)
    if strip.drive:
        wet = saturated(wet, strip.drive)
    wet = squeezed(wet, strip.squeeze)
    wet = panned(wet, strip.pan)
    if strip.room:
        wet = wet + strip.room * reverberated(wet, strip.decay, seed)
    return levelled(wet, -20.0 + strip.level_db)


def loudness(samples: Samples) -> float:
    """The RMS in dB of the tenths of a second that are heard; -inf for silence."""
    step = RATE // 10
    tail = -len(samples) % step
    blocks = np.pad(samples, ((0, tail), (0, 0))).reshape(-1, step * samples.shape[1])
    power = np.mean(np.square(blocks, dtype=np.float64), axis=1)
    heard = power[power > 1e-4 * power.max(initial=0.0)]
    return 10 * math.log10(heard.mean()) if len(heard) and heard.mean() > 1e-12 else -math.inf


def levelled(samples: Samples, level_db: float) -> Samples:
    """The samples at a loudness; silence stays what it is."""
    now = loudness(samples)
    if now == -math.inf:
        return samples
    return samples * np.float32(10 ** ((level_db - now) / 20))


def equalised(samples: Samples, strip: Strip) -> Samples:
    """A low shelf at 150 Hz, a bell, a high shelf at 5 kHz (R. Bristow-Johnson's cookbook)."""
    sections = [
        _shelf(150.0, strip.low_db, high=False),
        _bell(strip.mid_hz, strip.mid_db),
        _shelf(5000.0, strip.high_db, high=True),
    ]
    return signal.sosfilt(np.array(sections), samples, axis=0).astype(np.float32)


def _bell(hz: float, gain_db: float) -> list[float]:
    amplitude, angle = 10 ** (gain_db / 40), 2 * math.pi * hz / RATE
    alpha = math.sin(angle) / 2
    a0 = 1 + alpha / amplitude
    b = (1 + alpha * amplitude, -2 * math.cos(angle), 1 - alpha * amplitude)
    return [*(x / a0 for x in b), 1.0, -2 * math.cos(angle) / a0, (1 - alpha / amplitude) / a0]


def _shelf(hz: float, gain_db: float, high: bool) -> list[float]:
    amplitude, angle = 10 ** (gain_db / 40), 2 * math.pi * hz / RATE
    sign = -1 if high else 1  # a high shelf is a low one with the spectrum turned round
    cosine, root = sign * math.cos(angle), math.sqrt(2 * amplitude) * math.sin(angle)
    plus, minus = amplitude + 1, amplitude - 1
    b0 = amplitude * (plus - minus * cosine + root)
    b1 = 2 * sign * amplitude * (minus - plus * cosine)
    b2 = amplitude * (plus - minus * cosine - root)
    a0, a1 = plus + minus * cosine + root, -2 * sign * (minus + plus * cosine)
    return [b0 / a0, b1 / a0, b2 / a0, 1.0, a1 / a0, (plus + minus * cosine - root) / a0]


def saturated(samples: Samples, drive: float) -> Samples:
    """A soft bend of the peaks, as tubes have."""
    gain = np.float32(1 + 8 * drive)
    return np.tanh(gain * samples) / gain


def squeezed(samples: Samples, share: float) -> Samples:
    """Take away a share of the level's movement, in dB, above a floor 30 dB below the peak."""
    tail = -len(samples) % BLOCK
    power = np.pad(samples, ((0, tail), (0, 0))).reshape(-1, BLOCK * 2)
    level = np.sqrt(np.mean(np.square(power), axis=1))
    window = np.hanning(9)[1:-1]
    level = np.convolve(level, window / window.sum(), "same")
    highest = level.max(initial=0.0)
    if not share or highest == 0:
        return samples
    gain = np.maximum(level / highest, 10 ** (-30 / 20)) ** -share
    each = np.interp(np.arange(len(samples)), (np.arange(len(gain)) + 0.5) * BLOCK, gain)
    return samples * each.astype(np.float32)[:, None]


def panned(samples: Samples, pan: float) -> Samples:
    """Turn the stereo picture to one side, with the power of both sides kept."""
    angle = (pan + 1) * math.pi / 4
    return samples * np.array([math.cos(angle), math.sin(angle)], np.float32) * np.float32(2**0.5)


def reverberated(samples: Samples, decay: float, seed: int) -> Samples:
    """The room alone: noise that falls by 60 dB in `decay` seconds, highs first, per side."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(decay * RATE)) / RATE
    noise = rng.standard_normal((len(time), 2)) * (10 ** (-3 * time / decay))[:, None]
    noise = signal.sosfilt(signal.butter(1, 4500, fs=RATE, output="sos"), noise, axis=0)
    noise = signal.sosfilt(signal.butter(1, 200, "highpass", fs=RATE, output="sos"), noise, axis=0)
    response = np.pad(noise, ((round(0.012 * RATE), 0), (0, 0)))
    response /= np.sqrt(np.square(response).sum(axis=0).mean())
    mono = samples.mean(axis=1, keepdims=True) * 0.7 + samples * 0.3
    wet = signal.oaconvolve(mono, response.astype(np.float32), axes=0)
    return wet[: len(samples)].astype(np.float32)
