"""Renders `examples/piece.flac`, the music that this repository ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from parity.cases.signals import piece

RATE = 44100
SECONDS = 12.0

samples = piece(SECONDS, RATE)
scaled = np.round(0.8 * samples / np.abs(samples).max() * 32767).astype(np.int16)
soundfile.write(Path(__file__).with_name("piece.flac"), scaled.T, RATE, subtype="PCM_16")
