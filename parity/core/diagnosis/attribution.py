"""Says how much of the final error each layer causes.

The port runs again, and the reference's tensors are put in as what its first k layers and steps
give. The final error that is left falls with k, from all of it to none, and by how much it falls at
one layer is what that layer adds to what is right before it. These shares, of the error's energy,
add up to all of it, while the error that is there behind a layer says nothing of its cause.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core import layouts
from parity.core.capture.port import cumulative
from parity.core.capture.recorders import Recorder
from parity.core.compare import relative_l2
from parity.core.events import Event, Expected, Key
from parity.core.result import Part
from parity.core.subject import Subject

Array = npt.NDArray[Any]

SMALL = 0.002  # of the error's energy: what is not looked into further
PASSES = 96  # of the port at most, for which a small model needs some seconds


def attribute(subject: Subject, expected: Expected, port: Any) -> tuple[Part, ...]:
    """Share the final error of the real pass out among the port's calls, largest first.

    Args:
        subject: what is known of both sides.
        expected: what was captured of the reference.
        port: a port of it, built.

    Returns:
        parts of at least 0.2 % of the energy; none if there is no error, or the port's output has
        another shape.
    """
    units = units_of(expected)
    dtype = port.compute_dtype

    def error(count: int) -> float:
        return _final_error(subject, expected, port, units[:count], dtype)

    energies = {0: error(0) ** 2, len(units): error(len(units)) ** 2}
    whole = energies[0]
    if not 0 < whole < math.inf:
        return ()
    ends = _search(energies, lambda count: error(count) ** 2, SMALL * whole)
    parts = []
    for start, end in pairwise(ends):
        before, after = energies[start], energies[end]
        last = units[end - 1]
        parts.append(
            Part(
                last.path,
                last.call,
                last.owner,
                last.source,
                share=(before - after) / whole,
                vanished_db=10 * math.log10(before / after) if after and before else math.inf,
                calls=end - start,
            )
        )
    heard = [part for part in parts if abs(part.share) >= SMALL]
    return tuple(sorted(heard, key=lambda part: -part.share))


def units_of(expected: Expected) -> list[Event]:
    """The calls that no other call is inside of, in the order in which they ended."""
    paths = {event.path for event in expected.events}
    inner = {path for each in paths for path in _around(each)}
    return [event for event in expected.events if event.path not in inner]


def _around(path: str) -> list[str]:
    """The modules that a module or step is inside of."""
    owner, _, step = path.rpartition(":")
    names = (owner if step and ":" in path else path.rpartition(".")[0]).split(".")
    return ["", *(".".join(names[: i + 1]) for i in range(len(names)))]


def _search(energies: dict[int, float], energy: Callable[[int], float], small: float) -> list[int]:
    """Halve the stretch over which most vanishes until none is left; the ends of the stretches."""
    waiting = [(-abs(energies[0] - energies[max(energies)]), 0, max(energies))]
    while waiting and len(energies) < PASSES:
        fall, start, end = heapq.heappop(waiting)
        if end - start < 2 or -fall < small:
            continue
        middle = (start + end) // 2
        energies[middle] = energy(middle)
        for pair in ((start, middle), (middle, end)):
            heapq.heappush(waiting, (-abs(energies[pair[0]] - energies[pair[1]]), *pair))
    return sorted(energies)


class _Corrected(Recorder):
    """A recorder that goes on with given tensors in place of what some calls return."""

    def __init__(self, layers: Mapping[str, Any], given: Mapping[Key, list[Any]]) -> None:
        super().__init__(layers)
        self._given = given

    def returned(self, key: Key, output: Any) -> Any:
        """The given tensors, in the structure that was returned."""
        tensors = self._given.get(key)
        return output if tensors is None else _filled(output, iter(tensors))


def _filled(output: Any, tensors: Any) -> Any:
    if isinstance(output, (tuple, list)):
        return type(output)(_filled(leaf, tensors) for leaf in output)
    return None if output is None else next(tensors)


def _final_error(
    subject: Subject, expected: Expected, port: Any, right: Sequence[Event], dtype: str
) -> float:
    """Relative L2 error of the port's outputs while some calls give what the reference gives."""
    import tensorflow as tf

    given = {}
    for event in right:
        _, declared = subject.layouts_of(event)
        pairs = zip(event.outputs, declared, strict=True)
        arrays = [layouts.to_port(array, layout) for array, layout in pairs]
        given[event.key] = [
            tf.constant(a, dtype if np.issubdtype(a.dtype, np.floating) else None) for a in arrays
        ]
    make_recorder = partial(_Corrected, given=given)
    found = cumulative(subject, port, expected, make_recorder=make_recorder)[expected.root.key]
    _, declared = subject.layouts_of(expected.root)
    actual = [
        layouts.to_reference(array, layout) for array, layout in zip(found, declared, strict=True)
    ]
    wanted = expected.root.outputs
    if [array.shape for array in actual] != [array.shape for array in wanted]:
        return math.inf
    error = relative_l2(*(np.concatenate([a.ravel() for a in x]) for x in (actual, wanted)))
    return math.inf if math.isnan(error) else error
