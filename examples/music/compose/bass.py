"""Bass lines under a progression."""

from __future__ import annotations

from random import Random

from examples.music.compose.harmony import Change, Chord, above
from examples.music.compose.score import Note

# Bars in eighths or sixteenths: root, fifth, octave, third, an approach to the next chord.
# A dash holds the note before, a dot is a rest.
LINES: dict[str, str] = {
    "eighths": "r r r r r r r r",
    "pumping": "r r r r r r r a",
    "offbeat": ". r . r . r . r",
    "octaves": "r o r o r o r o",
    "root fifth": "r - . . f - . .",
    "country": "r - - . f - - a",
    "long": "r - - - - - - -",
    "halves": "r - - - f - - -",
    "dotted": "r - - r - - f -",
    "arpeggio": "r t f o f t r a",
    "disco": "r . o . r . o r . o r . r o . o",
    "funk": "r . . r . . o . . . r . o . a .",
    "latin": "r - - - - - f - - - - - o - - -",
    "sixteenths": "r . r r r . r r r . r r o . r a",
    "dub": ". . . . r r . t . . f . . . . .",
    "push": "r - - . . . r - . . r - - . a -",
}


def choose_line(rng: Random, tempo: float) -> str:
    """Draw the name of a line; walking is one of them; sixteenths only where they can be played."""
    names = [name for name, line in LINES.items() if tempo < 118 or len(line.split()) <= 8]
    return rng.choice([*names, "walking"])


def bass_line(
    rng: Random, name: str, changes: list[Change], scale: tuple[int, ...], low: int
) -> list[Note]:
    """Play `name` under `changes`, from the pitch `low` upwards."""
    if name == "walking":
        return _walk(rng, changes, scale, low)
    tokens = LINES[name].split()
    step = 4 / len(tokens)
    short = rng.uniform(0.55, 0.98)
    notes: list[Note] = []
    for index, change in enumerate(changes):
        following = changes[(index + 1) % len(changes)].chord
        at = 0
        while at * step < change.length - 1e-9:
            token = tokens[at % len(tokens)]
            span = 1
            while (at + span) * step < change.length - 1e-9 and _held(tokens, at + span):
                span += 1
            if token not in "-.":
                pitch = _pitch(token, change.chord, following, low)
                velocity = max(40, min(127, round(rng.gauss(100 if at % 4 == 0 else 88, 6))))
                length = span * step * short
                notes.append(Note(change.start + at * step, length, pitch, velocity))
            at += span
    return notes


def _held(tokens: list[str], at: int) -> bool:
    return tokens[at % len(tokens)] == "-"


def _pitch(token: str, chord: Chord, following: Chord, low: int) -> int:
    root = above(low, chord.root)
    if token == "o":
        return root + 12
    if token == "f":
        return above(root, chord.fifth)
    if token == "t":
        return above(root, chord.tones[1])
    if token == "a":
        return above(low, following.root) - 1
    return root


def _walk(rng: Random, changes: list[Change], scale: tuple[int, ...], low: int) -> list[Note]:
    notes: list[Note] = []
    pitch = above(low, changes[0].chord.root)
    for change in changes:
        for beat in range(int(change.length)):
            if beat == 0:
                pitch = min(
                    (above(low, change.chord.root), above(low, change.chord.root) + 12),
                    key=lambda p: abs(p - pitch),
                )
            else:
                near = [p for p in range(pitch - 4, pitch + 5) if p % 12 in scale and p != pitch]
                pitch = rng.choice([p for p in near if low - 2 <= p <= low + 19] or [pitch])
            notes.append(Note(change.start + beat, 0.9, pitch, round(rng.uniform(82, 108))))
    return notes
