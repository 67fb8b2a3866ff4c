"""Forms: which sections follow each other, and who plays in them."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from examples.music.compose.score import Section

# Chances that a role plays; every other role is silent.
CHANCES: dict[str, dict[str, float]] = {
    "intro": {"drums": 0.5, "bass": 0.4, "keys": 0.7, "guitar": 0.6, "pad": 0.5, "arp": 0.5,
              "lead": 0.3, "vocals": 0.05},
    "verse": {"drums": 0.95, "bass": 0.97, "keys": 0.85, "guitar": 0.8, "pad": 0.4, "arp": 0.5,
              "lead": 0.1, "vocals": 1.0},
    "chorus": {"drums": 1.0, "bass": 1.0, "keys": 0.9, "guitar": 0.95, "pad": 0.8, "arp": 0.6,
               "lead": 0.25, "brass": 0.7, "vocals": 1.0, "second voice": 0.6},
    "solo": {"drums": 0.9, "bass": 0.95, "keys": 0.9, "guitar": 0.8, "pad": 0.5, "lead": 1.0,
             "brass": 0.3},
    "bridge": {"drums": 0.5, "bass": 0.7, "keys": 0.8, "pad": 0.8, "arp": 0.6, "guitar": 0.4,
               "vocals": 0.8, "second voice": 0.2},
    "breakdown": {"keys": 0.7, "pad": 0.7, "arp": 0.5, "guitar": 0.4, "vocals": 0.6},
    "drum break": {"drums": 1.0},
    "bass break": {"bass": 1.0, "drums": 0.5},
    "a cappella": {"vocals": 1.0, "second voice": 0.5},
    "groove": {"drums": 1.0, "bass": 1.0},
    "rest": {},
}  # fmt: skip
FORMS: tuple[tuple[str, ...], ...] = (
    ("intro", "verse", "chorus", "solo"),
    ("verse", "chorus", "drum break", "chorus"),
    ("chorus", "verse", "breakdown", "chorus"),
    ("intro", "verse", "bridge", "chorus"),
    ("verse", "bass break", "chorus", "solo"),
    ("verse", "chorus", "a cappella", "chorus"),
    ("groove", "verse", "chorus", "rest", "solo"),
    ("verse", "solo", "chorus", "rest", "breakdown"),
    ("chorus", "solo", "verse", "groove"),
    ("drum break", "verse", "chorus", "bridge"),
)
ACCOMPANIMENT = frozenset({"keys", "guitar", "pad", "arp"})
SHORT = {"rest": 1, "drum break": 2, "bass break": 2, "a cappella": 2}  # bars; others have more


def arrange(rng: Random, beats: float, meter: int, roles: frozenset[str]) -> tuple[Section, ...]:
    """Sections that cover `beats`; the first verse and chorus have drums, bass and voices.

    Where chance leaves out all accompaniment, verses and choruses get it.
    """
    bars = -(-beats // meter)
    form = rng.choice(FORMS)
    short = sum(SHORT.get(name, 0) for name in form)
    long = sum(name not in SHORT for name in form)
    # In pairs of bars, because melodies are: as many rounds of the form as the length asks for.
    each = max(2, min(8, 2 * round((bars - short) / long / 2)))
    sections: list[Section] = []
    at, seen = 0.0, set[str]()
    while at < beats:
        name = form[len(sections) % len(form)]
        length = SHORT.get(name, each) * meter
        playing = {r for r, chance in CHANCES[name].items() if rng.random() < chance} & roles
        if name in ("verse", "chorus") and name not in seen:
            playing |= {"drums", "bass", "vocals"} & roles
        seen.add(name)
        sections.append(Section(name, at, length, frozenset(playing)))
        at += length
    backing = roles & ACCOMPANIMENT
    if not any(section.roles & (backing | {"lead", "brass"}) for section in sections):
        sections = [
            replace(section, roles=section.roles | backing)
            if section.name in ("verse", "chorus")
            else section
            for section in sections
        ]
    return tuple(sections)
