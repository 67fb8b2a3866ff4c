"""Several models whose outputs are averaged: by their names, and as models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from demucs_tf.models.ranges import LONGEST_SEGMENT, SHORTEST_SEGMENT
from demucs_tf.utils.text import brief

# Sizes of weights: beyond these, sums in float32 overflow, or lose all that there is.
LEAST_WEIGHT, MOST_WEIGHT = 1e-12, 1e12


@dataclass(frozen=True)
class Bag:
    """What a bag's file says.

    Attributes:
        models: signatures of the members; one may be there more than once.
        weights: for each member its weight for each source; None: all 1.
        segment: seconds, which replaces that of the members; None: they keep theirs.

    Reference: demucs/repo.py::BagOnlyRepo
    """

    models: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...] | None = None
    segment: float | None = None


class BagOfModels:
    """Models for the same stems, with a weight for each model and stem.

    It is applied by `apply_model`, which runs the members one after the other.

    Args:
        models: members that agree in sources, sample rate, channels and dtype. One model may be
            there more than once.
        weights: for each model its weight for each source; they are divided by their sum over the
            models. None: all 1.
        segment: seconds, to override every member's `segment` with. It is set on the models
            themselves, and left out where it is longer than what an HTDemucs was trained on.

    Raises:
        ValueError: no members, members that do not agree, or weights that do not fit: another
            number of them, some that are not finite, very small or very large, or a sum of zero
            for some source.

    Reference: demucs/apply.py::BagOfModels
    """

    def __init__(
        self,
        models: Sequence[Any],
        weights: Sequence[Sequence[float]] | None = None,
        segment: float | None = None,
    ) -> None:
        self.models = list(models)
        _check_members(self.models)
        first = self.models[0]
        self.sources: list[str] = list(first.sources)
        self.samplerate: int = first.samplerate
        self.audio_channels: int = first.audio_channels
        self.compute_dtype: str = first.compute_dtype
        if weights is None:
            weights = [[1.0] * len(self.sources)] * len(self.models)
        self.weights = _table(weights, len(self.models), self.sources)
        if segment is not None:
            self._override_segment(segment)

    def _override_segment(self, segment: float) -> None:
        if not SHORTEST_SEGMENT <= segment <= LONGEST_SEGMENT:
            raise ValueError(
                f"segment must be from {SHORTEST_SEGMENT} to {LONGEST_SEGMENT} seconds, got "
                f"{brief(segment)}."
            )
        for model in self.models:
            if not hasattr(model, "training_length") or segment <= model.segment:
                model.segment = segment

    @property
    def max_allowed_segment(self) -> float:
        """Seconds: the longest segment that every member takes; infinity if all take any."""
        return longest_segment(self.models)

    def __call__(self, mix: Any) -> Any:
        """Not offered, as in the reference: a bag has no forward pass of its own."""
        raise NotImplementedError("Call `apply_model` on a bag of models.")


def longest_segment(models: Sequence[Any]) -> float:
    """Seconds: the longest segment that every model takes; infinity if all take any."""
    limited = [
        float(m.segment)
        for m in models
        if hasattr(m, "training_length") or getattr(m, "longest", None) is not None
    ]
    return min(limited, default=float("inf"))


def _check_members(models: list[Any]) -> None:
    if not models:
        raise ValueError("A bag needs at least one model, got none.")
    for name in ("sources", "samplerate", "audio_channels", "compute_dtype"):
        values = [getattr(model, name) for model in models]
        if any(value != values[0] for value in values):
            raise ValueError(f"The models of a bag must agree in {name}, got {values}.")


def _table(
    weights: Sequence[Sequence[float]], members: int, sources: list[str]
) -> list[list[float]]:
    """The weights as numbers, one row for each member; ValueError if they do not fit."""
    table = [list(map(float, row)) for row in weights]
    if len(table) != members:
        raise ValueError(
            f"A bag of {members} models needs as many rows of weights, got {len(table)}."
        )
    for row in table:
        if len(row) != len(sources):
            raise ValueError(f"Each row of weights needs {len(sources)} numbers, got {row}.")
        if not all(map(math.isfinite, row)):
            raise ValueError(f"The weights of a bag must be finite, got {row}.")
        if any(weight and not LEAST_WEIGHT <= abs(weight) <= MOST_WEIGHT for weight in row):
            raise ValueError(
                f"The weights of a bag must be 0 or from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}, got "
                f"{row}."
            )
    for source, column in zip(sources, zip(*table, strict=True), strict=True):
        # What cancels to less is an error of rounding.
        if abs(sum(column)) < LEAST_WEIGHT * max(1, *map(abs, column)):
            raise ValueError(f"The weights of a bag add up to 0 for {source!r}.")
    return table
