"""When a slowdown counts.

BASE runs twice in every round, so its own ratio shows what the machine's noise can do. HEAD is
slower if the whole 95 % interval of its median ratio lies above 1 + noise, where noise is how far
the interval of BASE over BASE reaches from 1, and at least 2 %. Intervals are bootstrapped over
rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SMALLEST = 0.02
RESAMPLES = 4000
LEVEL = 95.0


@dataclass(frozen=True)
class Interval:
    """The median of ratios, and where it lies with a probability of 95 %."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Verdict:
    """`head` is HEAD over BASE, `same` BASE over BASE."""

    head: Interval
    same: Interval
    noise: float

    @property
    def slower(self) -> bool:
        """Whether HEAD is slower by more than noise."""
        return self.head.low > 1 + self.noise

    def __str__(self) -> str:
        words = "slower" if self.slower else "not slower"
        return f"{words}: HEAD/BASE {self.head}, BASE/BASE {self.same}, noise {self.noise:.1%}"


def judge(base: Sequence[float], again: Sequence[float], head: Sequence[float]) -> Verdict:
    """Hold the seconds of HEAD against those of BASE, round by round."""
    first, second = np.asarray(base), np.asarray(again)
    same = interval(second / first)
    noise = max(SMALLEST, same.high - 1, 1 - same.low)
    return Verdict(interval(np.asarray(head) / np.sqrt(first * second)), same, noise)


def interval(ratios: np.ndarray) -> Interval:
    """Bootstrap the median with a fixed seed, so that the same times get the same verdict."""
    generator = np.random.default_rng(0)
    drawn = generator.choice(ratios, (RESAMPLES, len(ratios)))
    medians = np.median(drawn, axis=1)
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(medians, [tail, 100 - tail])
    return Interval(float(np.median(ratios)), float(low), float(high))
