"""The plan of a training: how many steps, and the learning rate of each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """How long to train and how fast. The learning rate rises, stays, and falls to zero.

    Since it stays for as long as one likes, a training can be resumed with other `steps`, with
    another `decay`, and with another `learning_rate`; the log says which one an epoch had.

    Attributes:
        steps: of the whole training.
        every: steps after which the state is written; `steps` is a multiple of it.
        learning_rate: the largest one.
        warmup: steps in which the learning rate rises from zero.
        decay: steps at the end in which it falls to zero.
        clip: largest norm of all gradients together.
        average: share of its past that the moving average of the weights keeps at each step.

    Raises:
        ValueError: a value out of its range.
    """

    steps: int
    every: int = 100
    learning_rate: float = 1e-3
    warmup: int = 0
    decay: int = 0
    clip: float = 1.0
    average: float = 0.99

    def __post_init__(self) -> None:
        if self.every < 1 or self.steps < 1 or self.steps % self.every:
            raise ValueError(
                f"steps must be a multiple of every, both above 0, got {self.steps} and "
                f"{self.every}."
            )
        if self.warmup < 0 or self.decay < 0 or self.warmup + self.decay > self.steps:
            raise ValueError(
                f"warmup and decay must fit into {self.steps} steps, got {self.warmup} and "
                f"{self.decay}."
            )
        if self.learning_rate <= 0 or self.clip <= 0 or not 0 <= self.average < 1:
            raise ValueError(
                "learning_rate and clip must be above 0 and average from 0 to below 1, got "
                f"{self.learning_rate}, {self.clip} and {self.average}."
            )

    def rate(self, step: int) -> float:
        """The learning rate of a step, the first being 0."""
        rising = (step + 1) / (self.warmup + 1)
        falling = (self.steps - step) / (self.decay + 1)
        return self.learning_rate * min(1.0, rising, falling)

    def to_dict(self) -> dict[str, Any]:
        """All values by name."""
        return asdict(self)
