"""Grooves, their variations, fills, and percussion."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from examples.music.compose.score import Note, Section

# General MIDI's keys on the drum channel, by the letters of the tables below.
KEYS = {
    "kick": 36,
    "stick": 37,
    "snare": 38,
    "clap": 39,
    "hat": 42,
    "pedal": 44,
    "open": 46,
    "low tom": 45,
    "mid tom": 47,
    "high tom": 50,
    "floor tom": 41,
    "crash": 49,
    "crash 2": 57,
    "ride": 51,
    "bell": 53,
    "tambourine": 54,
    "cowbell": 56,
    "high conga": 63,
    "low conga": 64,
    "bongo": 60,
    "maracas": 70,
    "cabasa": 69,
    "claves": 75,
    "triangle": 81,
}
VELOCITY = {"X": 118, "x": 92, "o": 50}

# A bar in sixteenths: X accent, x stroke, o ghost stroke.
GROOVES: dict[str, dict[str, str]] = {
    "rock": {"kick": "X.......x.x.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
    "driving": {"kick": "X..x..x.x..x....", "snare": "....X.......X...", "hat": "X.x.X.x.X.x.X.x."},
    "half time": {
        "kick": "X.....x.........",
        "snare": "........X.......",
        "hat": "x.x.x.x.x.x.x.x.",
    },
    "four": {"kick": "X...X...X...X...", "snare": "....x.......x...", "open": "..x...x...x...x."},
    "house": {
        "kick": "X...X...X...X...",
        "clap": "....X.......X...",
        "hat": "xoxoxoxoxoxoxoxo",
        "open": "..x...x...x...x.",
    },
    "hip hop": {"kick": "X..x......xx....", "snare": "....X.......X..o", "hat": "x.x.x.x.x.xxx.x."},
    "funk": {"kick": "X.x...x...x..x..", "snare": "....X..o.o..X..o", "hat": "xoxoxoxoxoxoxoxo"},
    "trap": {"kick": "X.....x....x....", "clap": "........X.......", "hat": "x.x.x.xxx.x.xxxx"},
    "bossa": {"kick": "X..xx..xX..xx..x", "stick": "x..x..x...x..x..", "hat": "xoxoxoxoxoxoxoxo"},
    "train": {"kick": "x...x...x...x...", "snare": "ooXoooXoooXoooXo"},
    "ballad": {"kick": "X.......x.......", "stick": "....x.......x...", "hat": "x...x...x...x..."},
    "one drop": {
        "kick": "........X.......",
        "stick": "........X.......",
        "hat": "x.xox.xox.xox.xo",
    },
    "toms": {
        "kick": "X...x...X...x...",
        "floor tom": "x.x.x.xxx.x.x.xx",
        "snare": "....x.......x...",
    },
    "swing": {"kick": "x...o...x...o...", "ride": "x...x..xx...x..x", "pedal": "....x.......x..."},
    "break": {"kick": "X.x.......xx....", "snare": "....X..o.o..X..o", "ride": "x.x.x.x.x.x.x.x."},
    "metal": {"kick": "xxxxxxxxxxxxxxxx", "snare": "....X.......X...", "crash": "x...x...x...x..."},
    "slow": {"kick": "X.........x.....", "snare": "........X.......", "ride": "x...x...x...x..."},
}
WALTZES: dict[str, dict[str, str]] = {
    "waltz": {"kick": "X...........", "snare": "....x...x...", "hat": "x.x.x.x.x.x."},
    "three": {"kick": "X.....x.....", "snare": "........X...", "ride": "x...x.x.x.x."},
}
# The last beats before a new section, in sixteenths.
FILLS: tuple[dict[str, str], ...] = (
    {"snare": "x.x.x.x.", "crash": "........"},
    {"snare": "xxxx....", "high tom": "....xx..", "floor tom": "......xx"},
    {"high tom": "xx......", "mid tom": "..xx....", "low tom": "....xx..", "floor tom": "......xx"},
    {"snare": "ooxoxxXX", "kick": "x...x..."},
    {"floor tom": "x.xx.xxx", "kick": "x...x..."},
    {"snare": "X..X..X.", "kick": "..x..x.x"},
    {"open": "x...x...", "snare": "..x...xx"},
    {"snare": "oooooxxX"},
)
PERCUSSION: dict[str, str] = {
    "tambourine": "..x...x...x...x.",
    "maracas": "xoxoxoxoxoxoxoxo",
    "cabasa": "x.ox.ox.x.ox.ox.",
    "cowbell": "x...x...x...x...",
    "high conga": "..x...xx..x...x.",
    "low conga": "....x......xx...",
    "bongo": "x.xox.xox.xox.xo",
    "claves": "x..x..x...x.x...",
    "clap": "....x.......x...",
    "triangle": "o.x.o.x.o.x.o.x.",
}
CYMBALS = ("hat", "ride", "pedal", "open", "bell", "crash")


@dataclass(frozen=True)
class Kit:
    """How one piece is drummed: a groove for quiet sections, one for loud ones, percussion."""

    quiet: dict[str, str]
    loud: dict[str, str]
    percussion: tuple[str, ...]
    crashes: float
    fills: float


def choose_kit(rng: Random, meter: int, tempo: float) -> Kit:
    """Draw the grooves of a piece; fast ones get no sixteenths on the cymbals."""
    table = GROOVES if meter == 4 else WALTZES
    quiet, loud = (vary(rng, table[rng.choice(list(table))], tempo) for _ in range(2))
    if rng.random() < 0.4:
        loud = vary(rng, quiet, tempo)
    count = rng.choice((0, 0, 0, 1, 1, 2))
    percussion = tuple(rng.sample(list(PERCUSSION), count)) if meter == 4 else ()
    return Kit(quiet, loud, percussion, rng.uniform(0.2, 0.95), rng.uniform(0.4, 1.0))


def vary(rng: Random, groove: dict[str, str], tempo: float) -> dict[str, str]:
    """A groove with other cymbals, kicks moved, ghost notes added, sixteenths thinned."""
    varied = {}
    for piece, steps in groove.items():
        if piece == "hat":
            piece = rng.choices(("hat", "ride", "open", "pedal"), (8, 3, 1, 1))[0]
        if piece in CYMBALS and tempo > 125:
            steps = "".join(s if i % 2 == 0 else "." for i, s in enumerate(steps))
        if piece == "kick":
            steps = "".join(_kick(rng, s, i) for i, s in enumerate(steps))
        if piece == "snare" and tempo < 120 and rng.random() < 0.4:
            steps = "".join("o" if s == "." and rng.random() < 0.12 else s for s in steps)
        varied[piece] = steps
    return varied


def _kick(rng: Random, step: str, index: int) -> str:
    if index == 0:
        return step
    if step != "." and rng.random() < 0.15:
        return "."
    return "x" if step == "." and index % 2 == 0 and rng.random() < 0.08 else step


def drum_section(rng: Random, kit: Kit, section: Section, meter: int) -> list[Note]:
    """The drums of one section: its groove with a crash at the start and a fill at the end."""
    loud = section.name in ("chorus", "solo", "drum break")
    groove = kit.loud if loud else kit.quiet
    bars = round(section.length / meter)
    steps = 4 * meter
    notes: list[Note] = []
    for bar in range(bars):
        start = section.start + bar * meter
        fill = bar == bars - 1 and rng.random() < kit.fills
        fill = fill or (section.name == "drum break" and rng.random() < 0.4)
        played = steps - 8 if fill else steps
        for piece, pattern in groove.items():
            notes += _strokes(rng, piece, pattern[:played], start)
        for piece in kit.percussion if loud or rng.random() < 0.5 else ():
            notes += _strokes(rng, piece, PERCUSSION[piece][:steps], start)
        if fill:
            for piece, pattern in rng.choice(FILLS).items():
                notes += _strokes(rng, piece, pattern, start + meter - 2)
    if rng.random() < kit.crashes:
        notes += _strokes(rng, rng.choice(("crash", "crash 2")), "X", section.start)
    return notes


def _strokes(rng: Random, piece: str, pattern: str, start: float) -> list[Note]:
    return [
        Note(start + index / 4, 0.25, KEYS[piece], _humanly(rng, VELOCITY[step]))
        for index, step in enumerate(pattern)
        if step != "."
    ]


def _humanly(rng: Random, velocity: int) -> int:
    return max(20, min(127, round(rng.gauss(velocity, 7))))
