"""Scenes: a few seconds of music whose stems are known, drawn from a seed by NumPy alone.

Each scene has what separation trips over: a start and an end in full sound or in silence, a stretch
of digital silence and an entry after it, a stem that waits a second, and a stem at -40 dB.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parity.core.result import ParityError
from parity.music.instruments import INSTRUMENTS, RATE, Array, Score

# Stems lie on this grid, so that float32 holds them and their sum without rounding.
GRID = 2.0**23
QUIET = 0.01
PEAK = 0.9
FADE = 0.005  # seconds in which sound ends before a silence; behind one it starts at once
WAIT = 1.1  # seconds that one stem waits: more than a frame of museval's


@dataclass(frozen=True)
class Layout:
    """How long a kind of scene is, and between which of its seconds nothing sounds."""

    kind: str
    seconds: float
    silence: tuple[float, float]


LAYOUTS = (
    Layout("break", 4.0, (1.9, 2.6)),
    Layout("entry", 5.0, (0.0, 0.8)),
    Layout("ending", 9.0, (8.2, 9.0)),  # longer than a segment of htdemucs
)


@dataclass(frozen=True)
class Scene:
    """Stems and where something happens.

    Attributes:
        name: kind and seed.
        sources: the stems' names.
        stems: float32 (S, 2, T) at 44,100 Hz.
        silence: the samples in which nothing sounds.
        quiet: the stem at -40 dB.
    """

    name: str
    sources: tuple[str, ...]
    stems: npt.NDArray[np.float32]
    silence: slice
    quiet: str

    @property
    def mixture(self) -> npt.NDArray[np.float32]:
        """The sum of the stems, (2, T), exact."""
        total: npt.NDArray[np.float32] = self.stems.sum(axis=0, dtype=np.float64).astype(np.float32)
        return total


def scenes(count: int, seed: int, sources: Sequence[str]) -> Iterator[Scene]:
    """The first scenes of a seed; their kinds take turns."""
    for index in range(count):
        yield scene(LAYOUTS[index % len(LAYOUTS)], seed + index, sources)


def scene(layout: Layout, seed: int, sources: Sequence[str]) -> Scene:
    """Draw a scene.

    Args:
        layout: what happens in it.
        seed: of tempo, chords, notes, and of which stem is quiet and which one waits.
        sources: stems, each of `INSTRUMENTS`. Each is drawn alone: others change its level only.

    Raises:
        ParityError: a source that no instrument plays.
    """
    unknown = [source for source in sources if source not in INSTRUMENTS]
    if unknown:
        raise ParityError(
            f"no instrument plays the stem {unknown[0]!r}; scenes have {', '.join(INSTRUMENTS)}."
        )
    score = Score.draw(np.random.RandomState(seed), layout.seconds)
    start, stop = (round(second * RATE) for second in layout.silence)
    random = np.random.RandomState(seed + 1)
    quiet, waits = (sources[index] for index in random.permutation(len(sources))[[0, -1]])
    stems = []
    for source in sources:
        own = np.random.RandomState((zlib.crc32(source.encode()) + seed) % 2**32)
        stem = INSTRUMENTS[source](score, own)
        stem *= (QUIET if source == quiet else 1.0) / np.abs(stem).max()
        if source == waits and len(sources) > 1:
            stem[:, : max(round(WAIT * RATE), stop if start == 0 else 0)] = 0
        stems.append(_with_silence(stem, start, stop))
    loud = np.stack(stems)
    loud *= PEAK / np.abs(loud.sum(axis=0)).max()
    return Scene(
        f"{layout.kind}-{seed}",
        tuple(sources),
        (np.round(loud * GRID) / GRID).astype(np.float32),
        slice(start, stop),
        quiet,
    )


def _with_silence(stem: Array, start: int, stop: int) -> Array:
    """Fade out before the silence, and begin at once behind it."""
    fade = min(round(FADE * RATE), start)
    stem[:, start - fade : start] *= np.linspace(1, 0, fade, endpoint=False)
    stem[:, start:stop] = 0
    return stem


def stretches(scene: Scene, seconds: float = 0.25) -> dict[str, slice]:
    """The parts of a scene that are looked at by themselves: slices of samples, by name."""
    edge, length = round(seconds * RATE), scene.stems.shape[-1]
    return {
        "whole": slice(0, length),
        "start": slice(0, edge),
        "end": slice(length - edge, length),
        "silence": scene.silence,
    }
