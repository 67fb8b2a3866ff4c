"""Layers that are alike are traced once: for the others, their operations are copied.

Of htdemucs's operations three of four are in layers of which it has several with the same shapes.
To make an operation takes Python a quarter of a millisecond, to copy one a quarter of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from demucs_tf.inference.graphs.describe import likeness
from demucs_tf.utils.quiet import import_tensorflow


class Copies:
    """Calls layers while a graph is traced; see `demucs_tf.layers.base.repeating`.

    Args:
        values: the tensors that variables have in the graph, by the variables' ids.
    """

    def __init__(self, values: Mapping[int, Any]) -> None:
        self._values = values
        self._recordings: dict[Any, _Recording | None] = {}
        self._parts: list[Any] = []  # see `likeness`

    def call(self, layer: Any, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        """What `function(*inputs)` gives, which is `layer`'s call."""
        given = [*inputs, *(self._values[id(each)] for each in layer.variables)]
        names = [each.name for each in given]
        shapes = tuple((tuple(each.shape), each.dtype) for each in given)
        key = likeness(layer, self._parts), shapes, tuple(map(names.index, names))
        if key not in self._recordings:
            graph = import_tensorflow().compat.v1.get_default_graph()
            before = len(graph.get_operations())
            out = function(*inputs)
            self._recordings[key] = _recorded(graph.get_operations()[before:], given, out)
            return out
        recording = self._recordings[key]
        return function(*inputs) if recording is None else recording.copied(given)


# Whoever needs an operation names a tensor of it, or "^" and the operation whose end it waits for.


@dataclass
class _Recording:
    """The operations of a layer, but for those that nothing given to it decides.

    Args:
        out: the name of what comes out.
        operations: a GraphDef.
        given: names of what they are given -> its place.
        constants: names of the rest that they need -> tensors.
    """

    out: str
    operations: Any
    given: dict[str, int] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)

    def copied(self, given: Sequence[Any]) -> Any:
        """What comes out where other tensors are given."""
        inputs = {name: given[place] for name, place in self.given.items()} | self.constants
        copy = import_tensorflow().graph_util.import_graph_def
        return copy(self.operations, inputs, [self.out], name="copy")[0]


def _recorded(operations: Sequence[Any], given: Sequence[Any], out: Any) -> _Recording | None:
    """Record what a layer has made; None if that depends on anything but constants besides."""
    tf = import_tensorflow()
    if not isinstance(out, tf.Tensor):
        return None
    places = {each.name: place for place, each in enumerate(given)}
    places |= {f"^{each.op.name}": place for place, each in enumerate(given)}
    recording = _Recording(out.name, tf.compat.v1.GraphDef())
    inside, outside = set[str](), set[str]()
    for operation in operations:
        needed = {each.name: each for each in operation.inputs}
        needed |= {f"^{each.name}": None for each in operation.control_inputs}
        of_given = {name: places[name] for name in needed if name in places}
        of_own = {name for name in needed if _operation(name) in inside}
        rest = {name: needed[name] for name in needed.keys() - of_given.keys() - of_own}
        if not all(x is not None and _is_fixed(x.op, outside) for x in rest.values()):
            return None
        if of_given or of_own:
            inside.add(operation.name)
            recording.operations.node.append(operation.node_def)
            recording.given |= of_given
            recording.constants |= rest
        else:
            outside.add(operation.name)
    return recording if out.op.name in inside else None


def _operation(name: str) -> str:
    return name.removeprefix("^").partition(":")[0]


def _is_fixed(operation: Any, outside: set[str]) -> bool:
    return operation.type == "Const" or operation.name in outside
