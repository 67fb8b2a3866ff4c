"""Melodies of phrases that come back, for instruments and for voices."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from examples.music.compose.harmony import Change, chord_at
from examples.music.compose.score import Note, Syllable

# Two bars of four beats: lengths of notes, negative for rests. They add up to 8.
RHYTHMS: tuple[tuple[float, ...], ...] = (
    (1, 1, 1, 1, 2, -2),
    (0.5, 0.5, 1, 0.5, 0.5, 1, 2, -2),
    (-0.5, 0.5, 0.5, 0.5, 1, 1, 1.5, 0.5, -2),
    (1.5, 0.5, 1, 1, 3, -1),
    (0.5, 0.5, 0.5, 0.5, 1, 1, 0.5, 0.5, 1, 1, -1),
    (2, 1, 1, 3, -1),
    (-1, 0.5, 0.5, 1, 0.5, 1.5, 1, 1, -1),
    (0.75, 0.75, 0.5, 0.75, 0.75, 0.5, 3, -1),
    (0.5, 1, 0.5, 0.5, 1, 0.5, 1, 1, 1, -1),
    (3, 1, 2, -2),
    (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 0.5, 0.5, 1, -2),
    (4, 3, -1),
    (0.25, 0.25, 0.5, 0.5, 0.5, 1, 1, 0.5, 0.5, 2, -1),
    (-2, 1, 1, 0.5, 0.5, 1.5, -1.5),
)
CONSONANTS = (
    "l", "m", "n", "r", "w", "y", "b", "d", "g", "v", "z",
    "p", "t", "k", "f", "s", "sh", "h", "ch",
)  # fmt: skip
VOWELS = ("a", "e", "i", "o", "u", "ae", "uh", "er")


@dataclass(frozen=True)
class Motif:
    """Two bars of a melody: a rhythm, and steps on the scale from note to note."""

    rhythm: tuple[float, ...]
    steps: tuple[int, ...]


def choose_motif(rng: Random, leaps: float) -> Motif:
    """Draw a motif; `leaps` is the share of intervals wider than a second."""
    rhythm = rng.choice(RHYTHMS)
    count = sum(length > 0 for length in rhythm)
    steps = tuple(
        rng.choice((-4, -3, -2, 2, 3, 4)) if rng.random() < leaps else rng.choice((-1, -1, 0, 1, 1))
        for _ in range(count)
    )
    return Motif(rhythm, steps)


def choose_motifs(rng: Random, leaps: float) -> tuple[Motif, ...]:
    """Four phrases: two motifs in one of the usual orders."""
    first, second = choose_motif(rng, leaps), choose_motif(rng, leaps)
    varied = Motif(first.rhythm, (*first.steps[:-2], *second.steps[:2]))
    varied = varied if len(varied.steps) == len(first.steps) else first
    return rng.choice(
        ((first, first, second, first), (first, varied, first, second), (first, second) * 2)
    )


def melody(
    rng: Random,
    motifs: tuple[Motif, ...],
    changes: list[Change],
    scale: tuple[int, ...],
    span: tuple[int, int],
) -> list[Note]:
    """Sing the motifs over `changes` within `span`; long notes fall on tones of the chord."""
    low, high = span
    ladder = [pitch for pitch in range(low, high + 1) if pitch % 12 in scale]
    place = len(ladder) // 2 + rng.choice((-2, -1, 0, 1, 2))
    at, end = changes[0].start, changes[-1].end
    notes: list[Note] = []
    phrase = 0
    while at < end - 1e-9:
        motif = motifs[phrase % len(motifs)]
        steps = iter(motif.steps)
        for length in motif.rhythm:
            if length > 0 and at < end - 0.2:
                place = _inside(place + next(steps), len(ladder))
                if length >= 1:
                    place = _to_chord(ladder, place, chord_at(changes, at).tones)
                kept = min(length, end - at) * (0.97 if length < 2 else 0.9)
                velocity = max(60, min(120, round(rng.gauss(98, 8))))
                notes.append(Note(at, kept, ladder[place], velocity))
            at += abs(length)
        phrase += 1
    return notes


def _inside(place: int, count: int) -> int:
    if place < 0:
        return min(-place, count - 1)
    return max(0, 2 * (count - 1) - place) if place >= count else place


def _to_chord(ladder: list[int], place: int, tones: tuple[int, ...]) -> int:
    near = sorted(range(len(ladder)), key=lambda i: (abs(i - place), i))
    return next((i for i in near[:4] if ladder[i] % 12 in tones), place)


def lyrics(rng: Random, notes: list[Note]) -> list[Syllable]:
    """Give each note a syllable; some short ones are slurred to the note before."""
    sung: list[Syllable] = []
    favourites = rng.sample(VOWELS, 5)
    end = -1.0
    for note in notes:
        slurred = sung and note.start - end < 0.15 and rng.random() < 0.18
        vowel = sung[-1].vowel if slurred else rng.choice(favourites)
        consonant = "" if slurred else rng.choice(CONSONANTS)
        values = (note.start, note.length, note.pitch, note.velocity)
        sung.append(Syllable(*values, consonant, vowel))
        end = note.start + note.length
    return sung


def harmony_below(
    notes: list[Syllable], scale: tuple[int, ...], span: tuple[int, int]
) -> list[Syllable]:
    """The same words a third lower, or a third higher where that leaves the voice's range."""
    low, high = span
    ladder = [pitch for pitch in range(low - 12, high + 13) if pitch % 12 in scale]
    second = []
    for note in notes:
        near = min(range(len(ladder)), key=lambda i: abs(ladder[i] - note.pitch))
        shift = -2 if ladder[near] - 4 >= low else 2
        pitch = ladder[max(0, min(len(ladder) - 1, near + shift))]
        values = (note.start, note.length, pitch, max(40, note.velocity - 15))
        second.append(Syllable(*values, note.consonant, note.vowel))
    return second
