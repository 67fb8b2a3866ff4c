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

    def users(self, node: Any) -> list[Any]:
        """The nodes that use a node's output, each as often as it does."""
        return list(self._users.get(node.output[0], []))

    def is_output(self, node: Any) -> bool:
        """Whether a node's output is one of the graph's."""
        return node.output[0] in self._outputs

    def feeds(self, node: Any, kind: str) -> bool:
        """Whether a node of that kind uses a node's output."""
        return any(user.op_type == kind for user in self.users(node))

    def only_user(self, node: Any, kind: str) -> Any:
        """The node of that kind that alone uses a node's output; None: it is not so."""
        users = self.users(node)
        if len(users) != 1 or self.is_output(node):
            return None
        return users[0] if users[0].op_type == kind else None

    def other(self, node: Any, name: str) -> str:
        """The other input of a node with two."""
        first, second = node.input
        return str(second if first == name else first)

    def constant(self, name: str) -> Array | None:
        """The values of a constant; None: it is none."""
        found = self._constants.get(name)
        return None if found is None else np.asarray(self._array(found))

    def attributes(self, node: Any) -> dict[str, Any]:
        """What a node is told, by its name."""
        from onnx import helper

        return {each.name: helper.get_attribute_value(each) for each in node.attribute}

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
        kept = self.attributes(node).get("keepdims", 1)
        return bool(kept) and axes is not None and axes.tolist() == [-1]

    def replace(self, node: Any, kind: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Make another node of this one, with the same output."""
        for name in node.input:
            self._users[name].remove(node)
        node.op_type = kind
        node.input[:] = list(inputs)
        self.tell(node, **attributes)
        self._note(node)

    def tell(self, node: Any, **attributes: Any) -> None:
        """Give a node these attributes, and no others."""
        from onnx import helper

        del node.attribute[:]
        for name, value in attributes.items():
            node.attribute.append(helper.make_attribute(name, value))

    def bypass(self, node: Any) -> None:
        """Let what uses a node's output use its first input."""
        (made,), before = node.output, node.input[0]
        self._users[before].remove(node)
        for user in self._users.pop(made):
            user.input[:] = [before if name == made else name for name in user.input]
            self._users[before].append(user)
