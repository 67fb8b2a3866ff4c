"""An ONNX graph in which it is known who makes what, and who uses it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class View:
    """A graph that is looked at and changed node by node.

    A node that is replaced goes on giving the same tensor. What nobody needs any more stays, for
    `onnx_names` to leave out.
    """

    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        self.graph = graph
        self._makers = {name: node for node in graph.node for name in node.output}
        self._users: dict[str, list[Any]] = {}
        for node in graph.node:
            self._note(node)
        self._constants = {each.name: each for each in graph.initializer}
        self._array = numpy_helper.to_array
        self._outputs = {each.name for each in graph.output}

    def _note(self, node: Any) -> None:
        for name in node.input:
            self._users.setdefault(name, []).append(node)

    def maker(self, name: str, kind: str) -> Any:
        """The node of that kind that makes it; None: another does, or none."""
        node = self._makers.get(name)
        return node if node is not None and node.op_type == kind else None

    def users(self, name: str) -> int:
        """How often it is used."""
        return len(self._users.get(name, [])) + (name in self._outputs)

    def feeds(self, node: Any, kind: str) -> bool:
        """Whether a node of that kind uses a node's output."""
        return any(user.op_type == kind for user in self._users.get(node.output[0], []))

    def only_user(self, node: Any, kind: str) -> Any:
        """The node of that kind that alone uses a node's output; None: it is not so."""
        name = node.output[0]
        if self.users(name) != 1 or name in self._outputs:
            return None
        (user,) = self._users[name]
        return user if user.op_type == kind else None

    def other(self, node: Any, name: str) -> str:
        """The other input of a node with two."""
        first, second = node.input
        return str(second if first == name else first)

    def constant(self, name: str) -> Array | None:
        """The values of a constant; None: it is none."""
        found = self._constants.get(name)
        return None if found is None else np.asarray(self._array(found))

    def beside(self, node: Any, number: float) -> str | None:
        """The input of a node with two whose other one is that constant, to float32's precision."""
        for name in node.input:
            found = self.constant(name)
            value = float(found.reshape(-1)[0]) if found is not None and found.size == 1 else None
            if value is not None and math.isclose(value, number, rel_tol=1e-6):
                return self.other(node, name)
        return None

    def over_last_axis(self, node: Any) -> bool:
        """Whether a reduction is over the last axis alone, and keeps it."""
        axes = self.constant(node.input[1]) if len(node.input) > 1 else None
        kept = all(each.i for each in node.attribute if each.name == "keepdims")
        return kept and axes is not None and axes.tolist() == [-1]

    def replace(self, node: Any, kind: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Make another node of this one, with the same output."""
        from onnx import helper

        for name in node.input:
            self._users[name].remove(node)
        node.op_type = kind
        node.input[:] = list(inputs)
        del node.attribute[:]
        for name, value in attributes.items():
            node.attribute.append(helper.make_attribute(name, value))
        self._note(node)
