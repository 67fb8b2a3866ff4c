"""A piece's stems and their sum."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from examples.music.compose.score import STEMS, Part, Piece, Song
from examples.music.render import effects
from examples.music.render.fluidsynth import play
from examples.music.render.singer import sing

Stems = dict[str, npt.NDArray[np.int16]]
APART = 0.35  # how far two takes of a voice are from the middle
PEAK = 0.9  # of full scale, in the loudest of mixture and stems


def render(piece: Piece) -> Stems:
    """Play, sing and mix: (T, 2) int16 for each stem and for `mixture`, which is their sum.

    Raises:
        MissingProgramError: FluidSynth or a SoundFont is not installed.
    """
    buses = {stem: np.zeros((round(piece.seconds * effects.RATE), 2), np.float32) for stem in STEMS}
    for part in piece.parts:
        buses[part.stem] += perform(piece, part)
    for number, song in enumerate(piece.songs):
        buses["vocals"] += perform_song(piece, song, number)
    return mixed(buses, piece.levels_db)


def perform(piece: Piece, part: Part) -> effects.Samples:
    """One instrument through its channel."""
    dry = play(part, piece.tempo, piece.seconds)
    return effects.channel(dry, part.strip, seed_of(piece, part.role))


def perform_song(piece: Piece, song: Song, number: int) -> effects.Samples:
    """One voice through its channel; several takes stand left and right of each other."""
    total = np.zeros((round(piece.seconds * effects.RATE), 2), np.float32)
    for take in range(song.takes):
        seed = seed_of(piece, f"voice {number} take {take}")
        mono = sing(song, piece.tempo, piece.seconds, seed)
        pan = 0.0 if song.takes == 1 else APART * (2 * take / (song.takes - 1) - 1)
        total += effects.panned(np.stack([mono, mono], axis=1), pan)
    return effects.channel(total, song.strip, seed_of(piece, f"room {number}"))


def seed_of(piece: Piece, what: str) -> int:
    """A seed for what chance decides in the sound, the same on every machine."""
    return zlib.crc32(f"{piece.name}/{what}".encode())


def mixed(buses: dict[str, effects.Samples], levels_db: tuple[float, ...]) -> Stems:
    """Bring stems to their levels and to 16 bits, so that their sum is exact and below 1."""
    loud = {
        stem: effects.levelled(buses[stem], level)
        for stem, level in zip(STEMS, levels_db, strict=True)
    }
    total = np.sum(list(loud.values()), axis=0)
    peak = max(float(np.abs(samples).max()) for samples in (total, *loud.values()))
    scale = PEAK * 32767 / peak if peak else 0.0
    stems = {stem: np.rint(samples * scale).astype(np.int16) for stem, samples in loud.items()}
    stems["mixture"] = np.sum(list(stems.values()), axis=0, dtype=np.int32).astype(np.int16)
    return stems
