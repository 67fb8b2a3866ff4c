"""Keys, scales, chords and their progressions."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
# Degrees of the scale, the tonic being 0.
PROGRESSIONS = {
    "major": (
        (0, 4, 5, 3),
        (0, 5, 3, 4),
        (5, 3, 0, 4),
        (1, 4, 0, 5),
        (0, 3, 0, 4),
        (0, 2, 3, 4),
        (3, 4, 2, 5),
        (0, 4, 5, 2, 3, 0, 3, 4),
        (0, 0, 3, 3, 0, 4, 3, 0),
    ),
    "minor": (
        (0, 5, 2, 6),
        (0, 3, 4, 0),
        (0, 6, 5, 6),
        (0, 3, 5, 4),
        (0, 5, 3, 4),
        (5, 6, 0, 0),
        (0, 2, 6, 3),
        (0, 6, 5, 4, 3, 2, 3, 4),
    ),
    "dorian": ((0, 3), (0, 3, 0, 6), (0, 2, 3, 0), (0, 1, 2, 1)),
    "mixolydian": ((0, 6, 3, 0), (0, 3, 6, 3), (0, 0, 6, 6), (0, 4, 6, 3)),
}


@dataclass(frozen=True)
class Chord:
    """Pitch classes from the root up; the last is the seventh where there are four."""

    tones: tuple[int, ...]

    @property
    def root(self) -> int:
        return self.tones[0]

    @property
    def fifth(self) -> int:
        return self.tones[2]


@dataclass(frozen=True)
class Change:
    """A chord from `start` on for `length` beats."""

    start: float
    length: float
    chord: Chord

    @property
    def end(self) -> float:
        return self.start + self.length


def scale_of(key: int, mode: str) -> tuple[int, ...]:
    """The seven pitch classes of a key."""
    return tuple((key + step) % 12 for step in SCALES[mode])


def chord_on(degree: int, key: int, mode: str, seventh: bool) -> Chord:
    """The chord of thirds on a degree of the scale; in minor, the fifth degree is major."""
    scale = scale_of(key, mode)
    tones = [scale[(degree + 2 * third) % 7] for third in range(4 if seventh else 3)]
    if mode == "minor" and degree == 4:
        tones[1] = (tones[0] + 4) % 12
    return Chord(tuple(tones))


def progression(
    rng: Random, key: int, mode: str, start: float, length: float, rate: float
) -> list[Change]:
    """Fill `length` beats from `start` with one progression, a chord every `rate` beats."""
    degrees = rng.choice(PROGRESSIONS[mode])
    sevenths = rng.random() < 0.35
    changes, at, index = [], 0.0, 0
    while at < length - 1e-9:
        chord = chord_on(degrees[index % len(degrees)], key, mode, sevenths)
        changes.append(Change(start + at, min(rate, length - at), chord))
        at, index = at + rate, index + 1
    return changes


def above(low: int, tone: int) -> int:
    """The lowest pitch of class `tone` that is not below `low`."""
    return low + (tone - low) % 12


def voicing(chord: Chord, centre: int) -> list[int]:
    """The chord's tones within the octave around `centre`, from low to high."""
    return sorted(above(centre - 6, tone) for tone in chord.tones)


def chord_at(changes: list[Change], beat: float) -> Chord:
    """The chord that sounds at a beat; the last one after the end."""
    for change in changes:
        if beat < change.end - 1e-9:
            return change.chord
    return changes[-1].chord
