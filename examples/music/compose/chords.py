"""What accompanies: comping, strumming, pads, arpeggios, stabs."""

from __future__ import annotations

from random import Random

from examples.music.compose.harmony import Change, voicing
from examples.music.compose.score import Note

# A bar in eighths or sixteenths: x struck and held to the next sign, s short, a dot is a rest.
RHYTHMS: dict[str, tuple[str, ...]] = {
    "keys": ("x...x...", "x..x..x.", "x.......", "s.s.s.s.", ".x.x.x.x", "x..x...x", "x.xx.xx.",
             "s..s..s...s..s..", "..s...s...s...s."),
    "guitar": ("x.xx.xxx", "x.x.x.x.", "xxxxxxxx", "x...x.x.", ".s.s.s.s", "x..x..x.",
               "ss.ss.s.ss.ss.s.", "x......."),
    "pad": ("x.......",),
    "brass": ("s.......", "s..s....", "....s.s.", "......ss", "x.....s."),
}  # fmt: skip
SHAPES = {
    "up": (0, 1, 2, 3),
    "down": (3, 2, 1, 0),
    "alberti": (0, 2, 1, 2),
    "wave": (0, 1, 2, 3, 2, 1),
    "broken": (0, 2, 1, 3),
    "skip": (0, 3, 1, 3, 2, 3),
}


def comping(rng: Random, role: str, changes: list[Change], centre: int, power: bool) -> list[Note]:
    """Chords in one rhythm of the role; strummed on guitars, as bare fifths with `power`."""
    rhythm = rng.choice(RHYTHMS[role])
    step = 4 / len(rhythm)
    spread = {"guitar": rng.uniform(0.008, 0.03), "keys": 0.004}.get(role, 0.0)
    doubled = rng.random() < 0.5
    notes: list[Note] = []
    for change in changes:
        pitches = voicing(change.chord, centre)
        if power:
            root = pitches[0] - (pitches[0] - change.chord.root) % 12
            pitches = [root, root + 7, root + 12]
        elif doubled:
            pitches = [*pitches, pitches[0] + 12]
        for at, length in _strokes(rhythm, step, change.length):
            accent = round(rng.gauss(84 if at % 2 else 94, 6))
            down = rng.random() < 0.7
            for order, pitch in enumerate(pitches if down else pitches[::-1]):
                start = change.start + at + order * spread
                notes.append(Note(start, length, pitch, max(40, min(120, accent))))
    return notes


def _strokes(rhythm: str, step: float, length: float) -> list[tuple[float, float]]:
    """Starts and lengths of the strokes within `length` beats."""
    count = round(length / step)
    signs = [rhythm[i % len(rhythm)] for i in range(count)]
    struck = [i for i, sign in enumerate(signs) if sign != "."]
    ends = [*struck[1:], count]
    return [
        (i * step, 0.5 * step if signs[i] == "s" else (end - i) * step * 0.96)
        for i, end in zip(struck, ends, strict=False)
    ]


def arpeggio(rng: Random, changes: list[Change], centre: int, tempo: float) -> list[Note]:
    """The chords' tones one after the other, in eighths, sixteenths or triplets."""
    shape = rng.choice(list(SHAPES.values()))
    step = rng.choice((0.5, 1 / 3, 0.25) if tempo < 110 else (0.5, 0.5, 1.0))
    ring = rng.choice((0.8, 0.95, 2.0))
    notes: list[Note] = []
    for change in changes:
        pitches = voicing(change.chord, centre)
        pitches = [*pitches, pitches[0] + 12][:4] if len(pitches) == 3 else pitches
        for index in range(round(change.length / step)):
            pitch = pitches[shape[index % len(shape)]]
            velocity = max(45, min(120, round(rng.gauss(98 if index % 4 == 0 else 84, 6))))
            notes.append(Note(change.start + index * step, step * ring, pitch, velocity))
    return notes
