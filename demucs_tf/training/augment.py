"""Augmentation: what is drawn for an item of a batch, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Augmentation:
    """How excerpts are changed, stem by stem and independently of each other.

    Excerpts start anywhere, which is the reference's shift. Its remix takes the stems of an item
    from the other items of the batch; this one takes them from any pieces, at any place.

    Attributes:
        remix: share of the items whose stems come from different pieces.
        gain: least and largest factor.
        flip_channels: exchange left and right of half the stems.
        flip_sign: change the sign of half the stems.

    Raises:
        ValueError: a value out of its range.

    Reference: demucs/augment.py
    """

    remix: float = 0.5
    gain: tuple[float, float] = (0.25, 1.25)
    flip_channels: bool = True
    flip_sign: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.remix <= 1:
            raise ValueError(f"remix must be a share from 0 to 1, got {self.remix!r}.")
        least, largest = self.gain
        if not 0 < least <= largest:
            raise ValueError(f"gain must be two factors above 0 in order, got {self.gain!r}.")

    def change(self, wav: Array, random: np.random.Generator) -> Array:
        """Change one stem (A, T), drawing from `random` the same count of numbers each time."""
        gain, channels, sign = random.uniform(*self.gain), random.integers(2), random.integers(2)
        if self.flip_channels and channels:
            wav = wav[::-1]
        factor = -gain if self.flip_sign and sign else gain
        changed: Array = wav * np.float32(factor)
        return changed


NONE = Augmentation(remix=0.0, gain=(1.0, 1.0), flip_channels=False, flip_sign=False)
