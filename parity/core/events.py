"""What was captured from the reference: one `Event` for each module call and each tap call."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from parity.core.configuration import Arguments

Array = npt.NDArray[Any]
Key = tuple[str, int]  # path (a tap's has ":name"), call index
TENSOR = "tensor"
PARTS = "parametrizations"  # the attribute in which torch keeps what makes a module's weights


@dataclass
class Event:
    """One call. Arrays are in the reference's layout, float64 or whole numbers.

    Where one call's output is another's input, both events of a capture hold the same array.

    `owner` is the module's class, or for a tap the class whose `forward` has the step.
    `inputs` are the tensors by position, then those by keyword. `arguments` are the positional
    ones of a module that takes more than tensors: None or a number where one stands, TENSOR for
    a tensor; None where there are only tensors. `isolated_floors` and
    `cumulative_floors` are, output by output, the relative L2 error of the reference's own float32
    against `outputs`: fed with `inputs`, and in a whole float32 pass.
    """

    path: str
    call: int
    kind: Literal["module", "tap"]
    owner: str
    source: str
    inputs: list[Array]
    outputs: list[Array]
    arguments: tuple[Any, ...] | None = None
    isolated_floors: list[float] = field(default_factory=list)
    cumulative_floors: list[float] = field(default_factory=list)

    @property
    def key(self) -> Key:
        """What identifies the call on both sides."""
        return self.path, self.call


@dataclass
class Expected:
    """Everything that one case expects of the port.

    `mix` is the model's first, mostly only, input. `state` is the reference's `state_dict` as
    arrays; `buffers` names those of its keys that are buffers. `events` are in the order in which
    the calls ended. `leaves` are the paths of modules without children. `idle` lists parameters
    that change nothing, `unmapped` functional steps that no tap covers. `arguments` are what the
    module was made of, as far as that is known.
    """

    reference: str
    mix: Array
    events: list[Event]
    state: dict[str, Array]
    buffers: tuple[str, ...]
    leaves: tuple[str, ...]
    idle: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()
    environment: dict[str, Any] = field(default_factory=dict)
    arguments: Arguments | None = None

    @property
    def root(self) -> Event:
        """The call of the model itself, which ends last."""
        return self.events[-1]


def owner_of(key: str) -> str:
    """The path of the module that a key of the `state_dict` belongs to.

    What makes a weight of others (weight norm, in `torch.nn.utils.parametrizations`) is part of the
    module whose weight it is, and no module of its own.
    """
    *names, _ = key.split(".")
    return ".".join(names[: names.index(PARTS)] if PARTS in names else names)


def content(array: Array) -> bytes:
    """A digest of a tensor's shape and values, by which it is found again."""
    digest = hashlib.sha1(str(array.shape).encode(), usedforsecurity=False)
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
