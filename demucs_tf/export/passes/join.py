"""Two LiteRT models as one file."""

from __future__ import annotations

from typing import Any

# Where an operator names subgraphs that it runs.
_CALLS = ("condSubgraphIndex", "bodySubgraphIndex", "thenSubgraphIndex", "elseSubgraphIndex")


def append(model: Any, other: Any) -> int:
    """Put the subgraphs of another file, as an object, behind those of `model`.

    Returns:
        the index of the first of them.
    """
    first, buffers = len(model.subgraphs), len(model.buffers)
    moved = _operator_codes(model, other)
    for subgraph in other.subgraphs:
        for tensor in subgraph.tensors:
            tensor.buffer += buffers
        for operator in subgraph.operators:
            operator.opcodeIndex = moved[operator.opcodeIndex]
            for name in _CALLS:
                if hasattr(operator.builtinOptions, name):
                    called = getattr(operator.builtinOptions, name)
                    setattr(operator.builtinOptions, name, called + first)
    model.buffers += other.buffers
    model.subgraphs += other.subgraphs
    return first


def _operator_codes(model: Any, other: Any) -> list[int]:
    """Where each kind of operator of `other` is among those of `model`, once it is added."""
    places = {_code(each): index for index, each in enumerate(model.operatorCodes)}
    moved = []
    for each in other.operatorCodes:
        if _code(each) not in places:
            places[_code(each)] = len(model.operatorCodes)
            model.operatorCodes.append(each)
        moved.append(places[_code(each)])
    return moved


def _code(code: Any) -> tuple[int, int]:
    return max(code.builtinCode, code.deprecatedBuiltinCode), code.version


def resizable(model: Any, subgraph: int, axis: int, length: int) -> None:
    """Give the axis of a subgraph's input that may have any length one to start with."""
    graph = model.subgraphs[subgraph]
    tensor = graph.tensors[graph.inputs[0]]
    tensor.shapeSignature = [-1 if n == axis else size for n, size in enumerate(tensor.shape)]
    tensor.shape = [length if n == axis else size for n, size in enumerate(tensor.shape)]
