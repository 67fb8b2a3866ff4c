"""Folders of stems to train on, small ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

STEMS = ("drums", "bass", "other", "vocals")


def write_pieces(
    folder: Path, count: int = 3, seconds: float = 0.5, rate: int = 44100, suffix: str = ".wav"
) -> Path:
    """`count` pieces of noise, each stem in a band of its own."""
    for index in range(count):
        random = np.random.default_rng(index)
        write_piece(
            folder / f"piece{index}",
            {stem: noise(random, k, int(seconds * rate)) for k, stem in enumerate(STEMS)},
            rate,
            suffix,
        )
    return folder


def write_piece(
    folder: Path, stems: dict[str, Any], rate: int = 44100, suffix: str = ".wav"
) -> Path:
    """One piece; stems (T, A)."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, wav in stems.items():
        soundfile.write(folder / f"{stem}{suffix}", wav, rate, subtype="PCM_16")
    return folder


def noise(random: np.random.Generator, band: int, length: int) -> Any:
    """(T, 2) noise, smoothed the more the higher `band` is."""
    wav = random.normal(size=(length + 64, 2))
    for _ in range(band):
        wav = (wav + np.roll(wav, 2**band, axis=0)) / 2
    return 0.1 * wav[:length]
