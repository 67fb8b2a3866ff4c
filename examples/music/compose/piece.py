"""A whole piece from a seed: `compose("train", 0, 7, 45)` is the eighth piece of seed 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

from examples.music.compose import bass, chords, drums
from examples.music.compose.arrangement import arrange
from examples.music.compose.harmony import Change, progression, scale_of
from examples.music.compose.melody import choose_motifs, harmony_below, lyrics, melody
from examples.music.compose.score import Note, Part, Piece, Section, Song, Strip, Syllable
from examples.music.instruments import SPLITS, VOICES, Voice, choose_preset

N = TypeVar("N", bound=Note)
ACCOMPANIMENT = ("keys", "guitar", "pad", "arp")
# Half of an instrument's notes lie around this pitch.
CENTRES = {"keys": 60, "guitar": 55, "pad": 62, "arp": 70, "brass": 62}
LEADS = (60, 84)
LEVELS_DB = (0.0, 1.0, -0.5, 0.5)  # drums, bass, other, vocals, before they are varied


@dataclass(frozen=True)
class Plan:
    """What all parts of a piece share."""

    split: str
    source: str
    tempo: float
    meter: int
    scale: tuple[int, ...]
    sections: tuple[Section, ...]
    changes: dict[float, list[Change]]  # by the start of the section
    swing: float

    def rng(self, what: str) -> Random:
        """A generator of its own for each part, so that a change to one leaves the others alone."""
        return Random(f"{self.source}/{what}")

    def where(self, role: str) -> list[Section]:
        return [section for section in self.sections if role in section.roles]


def compose(split: str, seed: int, index: int, seconds: float) -> Piece:
    """The piece `index` of a seed: the same notes for the same arguments, on any machine.

    Raises:
        ValueError: an unknown split, or less than ten seconds.
    """
    if split not in SPLITS:
        raise ValueError(f"expected a split of {', '.join(SPLITS)}, got {split!r}")
    if not seconds >= 10:
        raise ValueError(f"expected pieces of at least 10 seconds, got {seconds:g}")
    source = f"{split}/{seed}/{index}"
    rng = Random(source)
    tempo = round(rng.triangular(70, 170, 112), 2)
    meter = 3 if rng.random() < 0.08 else 4
    key, mode = rng.randrange(12), rng.choices(("major", "minor", "dorian", "mixolydian"),
                                               (5, 5, 1, 1))[0]  # fmt: skip
    backing = rng.sample(ACCOMPANIMENT, rng.choice((1, 2, 2, 3)))
    roles = frozenset({"drums", "bass", "lead", "brass", "vocals", "second voice", *backing})
    sections = arrange(rng, seconds * tempo / 60, meter, _with_other(rng, roles))
    swing = rng.uniform(0.54, 0.66) if rng.random() < 0.2 else 0.5
    changes = _harmonise(rng, key, mode, meter, sections)
    plan = Plan(split, source, tempo, meter, scale_of(key, mode), sections, changes, swing)
    parts = [_drums(plan), _bass(plan)]
    parts += [_backing(plan, role) for role in (*backing, "brass")] + [_lead(plan)]
    return Piece(
        name=f"{split}-{seed}-{index:04}",
        seconds=seconds,
        tempo=tempo,
        meter=meter,
        key=key,
        mode=mode,
        sections=sections,
        parts=tuple(part for part in parts if part.notes),
        songs=_songs(plan),
        levels_db=tuple(max(-5.0, min(5.0, rng.gauss(level, 2.2))) for level in LEVELS_DB),
    )


def _with_other(rng: Random, roles: frozenset[str]) -> frozenset[str]:
    """Brass is rare."""
    return roles if rng.random() < 0.3 else roles - {"brass"}


def _harmonise(
    rng: Random, key: int, mode: str, meter: int, sections: tuple[Section, ...]
) -> dict[float, list[Change]]:
    """Changes for each section; sections of the same name have the same."""
    seeds: dict[str, int] = {}
    found = {}
    for section in sections:
        seeds.setdefault(section.name, rng.randrange(2**32))
        own = Random(seeds[section.name])
        rate = float(meter * own.choices((1, 2, 0.5), (6, 2, 2))[0]) if meter == 4 else float(meter)
        found[section.start] = progression(own, key, mode, section.start, section.length, rate)
    return found


def _play(
    plan: Plan, role: str, rng: Random, line: Callable[[Random, Section], list[N]]
) -> tuple[N, ...]:
    """A role's notes in all its sections, swung and not quite in time, sorted."""
    late = rng.gauss(0, 0.008)
    loose = rng.uniform(0.0, 0.015)
    notes = []
    for section in plan.where(role):
        for note in line(rng, section):
            start = _swung(note.start, plan.swing) + late + rng.gauss(0, loose)
            notes.append(
                replace(note, start=max(0.0, round(start, 4)), length=round(note.length, 4))
            )
    return tuple(sorted(notes, key=lambda note: (note.start, note.pitch)))


def _swung(beat: float, swing: float) -> float:
    """Move what lies between two beats, so that the half falls on `swing`."""
    whole = beat // 1
    part = beat - whole
    return whole + (part * 2 * swing if part < 0.5 else swing + (part - 0.5) * 2 * (1 - swing))


def _drums(plan: Plan) -> Part:
    rng = plan.rng("drums")
    kit = drums.choose_kit(rng, plan.meter, plan.tempo)
    notes = _play(plan, "drums", rng, lambda r, s: drums.drum_section(r, kit, s, plan.meter))
    return Part("drums", "drums", choose_preset(rng, plan.split, "drums"), notes, _strip(rng, 0.0))


def _bass(plan: Plan) -> Part:
    rng = plan.rng("bass")
    low = rng.choice((28, 28, 31, 33))
    quiet, loud = bass.choose_line(rng, plan.tempo), bass.choose_line(rng, plan.tempo)
    if plan.meter == 3:
        quiet, loud = "long", "walking"

    def line(r: Random, section: Section) -> list[Note]:
        name = quiet if section.name in ("verse", "intro", "bridge") else loud
        return bass.bass_line(r, name, plan.changes[section.start], plan.scale, low)

    notes = _play(plan, "bass", rng, line)
    preset = choose_preset(rng, plan.split, "bass")
    return Part("bass", "bass", preset, notes, _strip(rng, 0.1, dry=True))


def _backing(plan: Plan, role: str) -> Part:
    rng = plan.rng(role)
    preset = choose_preset(rng, plan.split, role)
    power = role == "guitar" and preset.program in (29, 30)
    centre = CENTRES[role] - (10 if power else 0) + rng.randint(-4, 4)
    style = rng.randrange(2**32)

    def line(r: Random, section: Section) -> list[Note]:
        own = Random(f"{style}/{section.name}")  # the same figure each time a section comes back
        changes = plan.changes[section.start]
        if role == "arp" or (role in ("keys", "guitar") and not power and own.random() < 0.25):
            return chords.arpeggio(own, changes, centre, plan.tempo)
        return chords.comping(own, role, changes, centre, power)

    level = {"pad": -4.0, "brass": -2.0, "arp": -2.0}.get(role, 0.0)
    notes = _play(plan, role, rng, line)
    return Part("other", role, preset, notes, _strip(rng, 0.8, level))


def _lead(plan: Plan) -> Part:
    rng = plan.rng("lead")
    motifs = choose_motifs(rng, rng.uniform(0.1, 0.4))
    low = rng.choice((55, 60, 60, 65))

    def line(r: Random, section: Section) -> list[Note]:
        changes = plan.changes[section.start]
        return melody(r, motifs, changes, plan.scale, (low, low + LEADS[1] - LEADS[0]))

    notes = _play(plan, "lead", rng, line)
    preset = choose_preset(rng, plan.split, "lead")
    return Part("other", "lead", preset, notes, _strip(rng, 0.4, 1.0))


def _songs(plan: Plan) -> tuple[Song, ...]:
    """The first voice, and the second one below it in the sections that have it."""
    rng = plan.rng("vocals")
    voice = vary_voice(rng, rng.choice(VOICES[plan.split]))
    verse, chorus = (choose_motifs(rng, rng.uniform(0.05, 0.3)) for _ in range(2))
    span = (voice.low, voice.high)

    def line(r: Random, section: Section) -> list[Syllable]:
        motifs = chorus if section.name == "chorus" else verse
        return lyrics(r, melody(r, motifs, plan.changes[section.start], plan.scale, span))

    first = _play(plan, "vocals", rng, line)
    both = [s for s in plan.where("vocals") if "second voice" in s.roles]
    shared = [note for note in first if any(s.start <= note.start < s.end for s in both)]
    second = tuple(harmony_below(shared, plan.scale, span))
    takes = rng.choices((1, 2), (3, 1))[0]
    songs = [Song(voice, first, takes, _strip(rng, 0.05))]
    if second:
        songs.append(Song(vary_voice(rng, voice), second, 1, _strip(rng, 0.6, -5.0)))
    return tuple(songs)


def vary_voice(rng: Random, voice: Voice) -> Voice:
    """A sibling of a voice: a few per cent larger or smaller, more or less breath and vibrato."""
    return replace(
        voice,
        size=voice.size * rng.uniform(0.975, 1.025),
        breath=voice.breath * rng.uniform(0.7, 1.4),
        tilt_db=voice.tilt_db + rng.uniform(-0.8, 0.8),
        vibrato_hz=voice.vibrato_hz + rng.uniform(-0.3, 0.3),
        vibrato_cents=voice.vibrato_cents * rng.uniform(0.6, 1.4),
    )


def _strip(rng: Random, width: float, level: float = 0.0, dry: bool = False) -> Strip:
    """Draw a channel's settings; `width` is how far it may be from the middle."""
    return Strip(
        level_db=round(level + rng.gauss(0, 2), 2),
        pan=round(rng.uniform(-width, width), 3),
        low_db=round(rng.uniform(-4, 4), 2),
        mid_hz=round(300 * 10 ** rng.uniform(0, 1), 1),
        mid_db=round(rng.uniform(-5, 5), 2),
        high_db=round(rng.uniform(-5, 5), 2),
        drive=round(rng.uniform(0.2, 1.0), 3) if rng.random() < 0.25 else 0.0,
        squeeze=round(rng.uniform(0.0, 0.6), 3),
        room=0.0 if dry and rng.random() < 0.7 else round(rng.uniform(0.0, 0.35), 3),
        decay=round(rng.uniform(0.2, 1.8), 3),
    )
