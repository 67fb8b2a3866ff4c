"""Finds parameters that nothing compared depends on: a fault in them would go unseen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from parity.core.capture.progress import counted
from parity.core.events import Event, owner_of
from parity.core.subject import Subject

Array = npt.NDArray[Any]
_STEPS = 32


def without_influence(
    subject: Subject,
    module: torch.nn.Module,
    events: Sequence[Event],
    call: Callable[[torch.nn.Module, Event], list[Array]],
) -> tuple[str, ...]:
    """The parameters of a reference model that change no output of the layer they belong to.

    Each is moved in turn; the layer is called on the input that the isolated comparison has, and
    its output has to change. A few steps of the input are tried first, because they are quick, and
    all of it if those show nothing.
    """
    calls = {event.path: event for event in reversed(events) if event.kind == "module"}
    outputs: dict[tuple[str, bool], list[Array]] = {}

    def moves(parameter: torch.nn.Parameter, path: str, short: bool) -> bool:
        layer = module.get_submodule(path)
        event = _shortened(subject, calls[path]) if short else calls[path]
        if (path, short) not in outputs:
            outputs[path, short] = call(layer, event)
        kept = parameter.data.clone()
        parameter.data += 0.5
        moved = call(layer, event)
        parameter.data.copy_(kept)
        pairs = zip(outputs[path, short], moved, strict=True)
        return not all(np.array_equal(before, after) for before, after in pairs)

    def matters(key: str, parameter: torch.nn.Parameter) -> bool:
        path = owner_of(key)
        if path not in calls:
            path, _, child = path.rpartition(".")
            used = subject.never_called.get((calls[path].owner, child)) if path in calls else None
            if not used:
                return used is False
        return moves(parameter, path, True) or moves(parameter, path, False)

    parameters = counted([*module.named_parameters()], "reference: influence of parameter")
    return tuple(key for key, parameter in parameters if not matters(key, parameter))


def _shortened(subject: Subject, event: Event) -> Event:
    """A call with no more than a few steps from the middle of its inputs."""

    def cut(array: Array, layout: str) -> Array:
        for axis, letter in enumerate(layout[: array.ndim]):
            if letter == "T":
                start = max(0, (array.shape[axis] - _STEPS) // 2)
                array = array.take(range(start, min(start + _STEPS, array.shape[axis])), axis)
        return array

    declared, _ = subject.layouts_of(event)
    return replace(event, inputs=list(map(cut, event.inputs, declared)))
