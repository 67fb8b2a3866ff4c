"""What a mouth does for each vowel and consonant, as formants and noise."""

from __future__ import annotations

from dataclasses import dataclass

# A man's first three formants in Hz (Peterson and Barney, 1952, rounded) and their levels in dB.
VOWELS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "a": ((730, 1090, 2440), (0, -4, -22)),
    "ae": ((660, 1720, 2410), (0, -10, -19)),
    "e": ((530, 1840, 2480), (0, -14, -20)),
    "i": ((270, 2290, 3010), (0, -20, -24)),
    "o": ((570, 840, 2410), (0, -5, -29)),
    "u": ((300, 870, 2240), (0, -15, -36)),
    "uh": ((640, 1190, 2390), (0, -8, -23)),
    "er": ((490, 1350, 1690), (0, -10, -14)),
}
# Resonances that all vowels share: Hz, dB.
HIGHER = ((3400.0, -28.0), (4400.0, -34.0), (5600.0, -40.0), (7500.0, -46.0))


@dataclass(frozen=True)
class Consonant:
    """A consonant before its vowel.

    `closed` seconds with the mouth shut are followed by `length` seconds of noise around
    `hz`, and by the vowel. `voiced` and `noise` are levels next to the vowel's.
    """

    length: float
    voiced: float
    noise: float = 0.0
    hz: float = 0.0
    width: float = 0.0
    formants: tuple[float, float, float] | None = None  # None: those of the vowel
    closed: float = 0.0
    breath: float = 0.0  # noise that goes through the formants


CONSONANTS: dict[str, Consonant] = {
    "l": Consonant(0.07, 0.5, formants=(350, 1100, 2700)),
    "m": Consonant(0.08, 0.4, formants=(250, 1000, 2200)),
    "n": Consonant(0.07, 0.4, formants=(250, 1500, 2500)),
    "r": Consonant(0.07, 0.55, formants=(400, 1200, 1600)),
    "w": Consonant(0.07, 0.55, formants=(300, 650, 2300)),
    "y": Consonant(0.07, 0.55, formants=(280, 2250, 3000)),
    "b": Consonant(0.012, 0.3, 0.25, 900, 700, (250, 900, 2300), closed=0.05),
    "d": Consonant(0.014, 0.3, 0.3, 3800, 1800, (250, 1700, 2600), closed=0.045),
    "g": Consonant(0.018, 0.3, 0.3, 2000, 900, (250, 2000, 2400), closed=0.05),
    "v": Consonant(0.06, 0.35, 0.07, 6500, 4500, (300, 1100, 2300)),
    "z": Consonant(0.08, 0.3, 0.2, 7000, 1900, (280, 1700, 2600)),
    "p": Consonant(0.015, 0.0, 0.45, 1000, 900, (300, 900, 2300), closed=0.06, breath=0.3),
    "t": Consonant(0.022, 0.0, 0.6, 4500, 2200, (300, 1700, 2600), closed=0.05, breath=0.3),
    "k": Consonant(0.028, 0.0, 0.55, 2100, 1000, (300, 2000, 2400), closed=0.055, breath=0.35),
    "f": Consonant(0.09, 0.0, 0.14, 7500, 5000, (320, 1100, 2300)),
    "s": Consonant(0.11, 0.0, 0.4, 7500, 2000, (300, 1700, 2600)),
    "sh": Consonant(0.11, 0.0, 0.45, 3600, 1300, (300, 1900, 2500)),
    "h": Consonant(0.07, 0.0, breath=0.5),
    "ch": Consonant(0.06, 0.0, 0.5, 3800, 1500, (300, 1900, 2500), closed=0.05),
}
