"""What was captured of the reference's backward pass: vector-Jacobian products.

For a call with outputs y, inputs x and weights w, and for a cotangent v that is drawn from the
call's name, these are the gradients of <v, y> by x and by w.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from parity.core.compare import UNIT_ROUNDOFF
from parity.core.events import Event, Expected, Key
from parity.core.result import ParityError

Array = npt.NDArray[np.floating]
Draws = list[Array]
Name = int | str  # of an input its place, of a weight its key in the `state_dict`

CONSTANT = "a constant of the model: nothing is learnt from its gradient"
UNCONNECTED = "no gradient: the output does not depend on it"
ZERO = "zero by construction"
ROUNDING = (
    "zero by construction: what is left is rounding, of which float32 and float64 share nothing"
)

# A bias has a few numbers, each a sum: its error under one cotangent is luck. So the floor is the
# root mean square of the error under this many, over the length of the gradient that is compared.
DRAWS = 8

# Where the reference's float32 gradients are this many times as far from the float64 ones as those
# are long, the latter are rounding. Float64 is 2^29 = 5e8 times as exact as float32, so one that is
# only ill-conditioned stays far below, and what is zero but for rounding comes near 5e8.
ALL_ROUNDING = 1e5


class NoGradient(ParityError):
    """The reference itself cannot be pulled back here, so there is nothing to compare with."""


@dataclass
class Gradient:
    """The gradient by one tensor: in float64, and how far the reference's float32 is from it.

    `wide` is None where there is none. `reason` says why it decides nothing; "" if it does.
    """

    wide: Array | None
    floor: float = 0.0
    reason: str = ""


@dataclass
class Pulled:
    """The gradients of one call, by input (None for whole numbers) and by weight."""

    path: str
    call: int
    inputs: list[Gradient | None] = field(default_factory=list)
    weights: dict[str, Gradient] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What identifies the call on both sides."""
        return self.path, self.call

    def named(self) -> Iterator[tuple[Name, Gradient]]:
        """All gradients, those by inputs first."""
        yield from ((index, each) for index, each in enumerate(self.inputs) if each is not None)
        yield from self.weights.items()


@dataclass
class Backward:
    """What one case expects of the port's backward pass.

    `calls` has the calls of the forward pass in the order of their ends, without the model's own;
    `whole` is the model's, with every weight that it has.
    """

    forward: Expected
    calls: list[Pulled]
    whole: Pulled


def cotangents(event: Event, draw: int = 0) -> list[Array | None]:
    """What a call's outputs are weighted with, in the reference's layout, rounded to float32.

    None for whole numbers. Each output and each draw has a random stream of its own.
    """
    return [
        _draw(f"{event.path}#{event.call}#{index}#{draw}", output.shape)
        if np.issubdtype(output.dtype, np.floating)
        else None
        for index, output in enumerate(event.outputs)
    ]


def _draw(name: str, shape: tuple[int, ...]) -> Array:
    stream = np.random.RandomState(zlib.crc32(name.encode()))
    return stream.standard_normal(shape).astype(np.float32).astype(np.float64)


def judged(wide: Draws | None, narrow: Draws | None, constant: bool = False) -> Gradient:
    """A gradient of the reference, from both precisions, and whether it decides anything.

    The first draw is what the port is held against; all of them make the floor.
    """
    if wide is None or narrow is None:
        return Gradient(None, 0.0, UNCONNECTED)
    if not any(each.any() for each in wide):
        return Gradient(wide[0], 0.0, ZERO)
    errors = [float(np.linalg.norm(n - w)) for n, w in zip(narrow, wide, strict=True)]
    lengths = [float(np.linalg.norm(each)) for each in wide]
    error = float(np.sqrt(np.mean(np.square(errors))))
    floor = error / lengths[0] if lengths[0] else float("inf")
    if constant:
        return Gradient(wide[0], floor, CONSTANT)
    # Where float32 happens to find nothing at all, it is as far from float64 as that is long.
    silent = not any(each.any() for each in narrow)
    rounding = silent or error >= ALL_ROUNDING * max(lengths)
    return Gradient(wide[0], floor, ROUNDING if rounding else "")


def noise(gradient: Gradient, dtype: str) -> float:
    """How long the reference's rounding is at `dtype`, of a gradient that is nothing else."""
    assert gradient.wide is not None
    own = float(np.linalg.norm(gradient.wide))
    return max(own, own * gradient.floor * UNIT_ROUNDOFF[dtype] / UNIT_ROUNDOFF["float32"])


def longest(pulled: Pulled) -> float:
    """The length of the longest gradient of a call."""
    lengths = [np.linalg.norm(g.wide) for _, g in pulled.named() if g.wide is not None]
    return float(max(lengths, default=0.0))
