"""Who may play and sing in which split: presets of SoundFonts, and voices. No row is shared."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Font:
    """A SoundFont, and the Debian package that has it."""

    file: str
    package: str


FONTS = {
    "fluid": Font("FluidR3_GM.sf2", "fluid-soundfont-gm"),
    "musescore": Font("MuseScore_General_Full.sf2", "musescore-general-soundfont-lossless"),
    "tim": Font("TimGM6mb.sf2", "timgm6mb-soundfont"),
}
TIM_KITS = (0, 8, 16, 24, 25, 32, 40)  # the smallest font has no more, and only bank 0


@dataclass(frozen=True)
class Preset:
    """An instrument of a font; drum kits are programs of the bank 128."""

    font: str
    bank: int
    program: int


@dataclass(frozen=True)
class Voice:
    """A singer. Pitches are MIDI's; formants are those of a man's vowels times `size`."""

    name: str
    low: int
    high: int
    size: float
    breath: float  # noise of the breath, 0 to 1
    tilt_db: float  # how much softer each octave above 500 Hz is
    ring_db: float  # the singer's formant around 3 kHz
    vibrato_hz: float
    vibrato_cents: float
    glide: float  # seconds from note to note


# Numbers are programs counted from 0; from 800 on they are those of the bank 8.
PROGRAMS: dict[str, dict[str, tuple[int, ...]]] = {
    "train": {
        "drums": (0, 1, 2, 3, 8, 9, 10, 16, 17, 25, 32, 33),
        "bass": (32, 33, 34, 38, 39, 839),
        "keys": (0, 3, 4, 7, 11, 16, 18, 21, 804, 816),
        "guitar": (24, 26, 27, 28, 30, 824),
        "pad": (44, 48, 50, 89, 90, 94, 95, 850),
        "lead": (22, 40, 42, 56, 60, 64, 65, 68, 71, 73, 80, 81, 87, 109),
        "arp": (8, 10, 12, 45, 46, 98, 106, 107),
        "brass": (61, 62, 63),
    },
    "valid": {
        "drums": (4, 11, 18, 34),
        "bass": (36, 838),
        "keys": (1, 17, 805),
        "guitar": (31, 825),
        "pad": (51, 99),
        "lead": (41, 59, 70, 75, 83),
        "arp": (13, 105),
        "brass": (861,),
    },
    "test": {
        "drums": (5, 6, 7, 12, 13, 19, 24, 35, 36, 40, 41),
        "bass": (35, 37),
        "keys": (2, 5, 6, 19, 20, 817),
        "guitar": (25, 29, 828),
        "pad": (49, 88, 93, 97),
        "lead": (57, 66, 69, 72, 74, 82, 84, 110),
        "arp": (9, 14, 15, 104, 108, 114),
        "brass": (862, 863),
    },
}

VOICES: dict[str, tuple[Voice, ...]] = {
    "train": (
        Voice("bass", 38, 57, 0.92, 0.10, 5.0, 4.0, 5.0, 25, 0.07),
        Voice("baritone", 43, 62, 0.98, 0.20, 4.0, 8.0, 5.4, 40, 0.06),
        Voice("crooner", 43, 60, 1.02, 0.45, 6.0, 2.0, 5.8, 20, 0.09),
        Voice("tenor", 48, 67, 1.03, 0.15, 2.5, 9.0, 5.6, 50, 0.05),
        Voice("rock tenor", 50, 70, 1.06, 0.30, 1.0, 5.0, 6.3, 30, 0.04),
        Voice("countertenor", 54, 74, 1.07, 0.30, 4.5, 3.0, 5.2, 35, 0.06),
        Voice("alto", 53, 72, 1.13, 0.20, 4.0, 4.0, 5.5, 30, 0.06),
        Voice("breathy alto", 55, 72, 1.16, 0.75, 6.0, 0.0, 5.0, 15, 0.08),
        Voice("mezzo", 57, 76, 1.17, 0.15, 3.0, 6.0, 5.9, 60, 0.05),
        Voice("pop soprano", 58, 77, 1.20, 0.35, 3.0, 2.0, 5.6, 25, 0.05),
        Voice("soprano", 60, 81, 1.22, 0.12, 4.0, 5.0, 6.1, 70, 0.06),
        Voice("child", 60, 79, 1.32, 0.30, 5.0, 0.0, 5.0, 8, 0.05),
    ),
    "valid": (
        Voice("low baritone", 41, 60, 0.95, 0.25, 4.5, 6.0, 5.2, 30, 0.06),
        Voice("light tenor", 50, 69, 1.05, 0.22, 3.2, 4.0, 5.9, 35, 0.05),
        Voice("contralto", 52, 70, 1.10, 0.30, 3.6, 5.0, 5.3, 40, 0.07),
        Voice("light soprano", 60, 79, 1.24, 0.25, 3.6, 3.0, 5.7, 40, 0.05),
    ),
    "test": (
        Voice("deep baritone", 40, 59, 0.94, 0.15, 3.5, 7.0, 5.7, 35, 0.05),
        Voice("folk tenor", 47, 66, 1.00, 0.38, 3.8, 3.0, 5.1, 18, 0.07),
        Voice("high tenor", 52, 71, 1.08, 0.18, 2.0, 6.0, 6.0, 45, 0.04),
        Voice("folk alto", 54, 73, 1.15, 0.40, 4.8, 2.0, 5.4, 22, 0.06),
        Voice("musical soprano", 59, 78, 1.19, 0.22, 2.6, 7.0, 5.8, 55, 0.05),
        Voice("girl", 61, 79, 1.28, 0.42, 4.2, 1.0, 5.3, 12, 0.06),
    ),
}


def choose_preset(rng: Random, split: str, role: str) -> Preset:
    """Draw a preset for a role, and a font that has it."""
    number = rng.choice(PROGRAMS[split][role])
    if role == "drums":
        bank, program, small = 128, number, number in TIM_KITS
    else:
        bank, program, small = 8 * (number >= 800), number % 800, number < 800
    fonts = [name for name in FONTS if small or name != "tim"]
    return Preset(rng.choice(fonts), bank, program)
