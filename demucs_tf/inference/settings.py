"""How a model is applied, checked before anything costly starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from demucs_tf.inference.engine import ENGINES


@dataclass(frozen=True)
class ApplySettings:
    """The arguments of `apply_model` that choose how a model is applied.

    Raises:
        ValueError: a value out of its range.
    """

    shifts: int = 1
    split: bool = True
    overlap: float = 0.25
    transition_power: float = 1.0
    segment: float | None = None
    progress: bool = False
    seed: int | None = None
    batch_size: int = 1
    num_workers: int = 0
    engine: str = "auto"
    device: str | None = None

    def __post_init__(self) -> None:
        _require(_is_int(self.shifts) and self.shifts >= 0, "shifts", "0 or more", self.shifts)
        _require(0 <= self.overlap < 1, "overlap", "at least 0 and below 1", self.overlap)
        power = self.transition_power
        _require(1 <= power < np.inf, "transition_power", "1 or more", power)
        seconds = self.segment
        fine = seconds is None or (not isinstance(seconds, bool) and 0 < seconds < np.inf)
        _require(fine, "segment", "more than 0 seconds", seconds)
        size = self.batch_size
        _require(_is_int(size) and size >= 1, "batch_size", "1 or more", size)
        threads = self.num_workers
        _require(_is_int(threads) and threads >= 0, "num_workers", "0 or more", threads)
        _require(self.engine in ENGINES, "engine", f"one of {', '.join(ENGINES)}", self.engine)


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer))


def _require(ok: bool, name: str, wanted: str, value: Any) -> None:
    if not ok:
        raise ValueError(f"{name} must be {wanted}, got {value!r}.")
