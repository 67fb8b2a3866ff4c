"""Names and order of what is in an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def canonical(model: Any, outputs: Sequence[str]) -> None:
    """Make it the same in every process: names, order, and nothing that is said twice.

    tf2onnx's names are made of those of Keras's layers, which are numbered in each process.
    """
    from onnx import helper

    graph = model.graph
    names = {graph.input[0].name: "mix", "": ""}
    names.update(zip((each.name for each in graph.output), outputs, strict=True))
    _rename(graph, names)
    for each in (*graph.input, *graph.output):
        # Equal names are equal sizes, which runtimes rely on.
        own = "" if each.name in ("mix", "stems") else f"{each.name} "
        for place, axis in enumerate(each.type.tensor_type.shape.dim):
            if not axis.HasField("dim_value"):
                axis.dim_param = f"{own}{'time' if place else 'batch'}"
                if own:
                    axis.dim_param += f" {place}"
    graph.name = "demucs_tf"
    model.doc_string = model.producer_version = ""
    model.producer_name = "demucs_tf"
    (domain,) = [each for each in model.opset_import if not each.domain]
    version = domain.version
    del model.opset_import[:], model.metadata_props[:]
    model.opset_import.append(helper.make_opsetid("", version))


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Number nodes, constants and what nodes give, in the order in which they are needed."""
    nodes, constants = _ordered(graph), {each.name: each for each in graph.initializer}
    used: dict[str, Any] = {}
    for each in graph.input:
        names.setdefault(each.name, f"t{len(names)}")
    for node in nodes:
        node.name, node.doc_string = "", ""
        for name in (*node.input, *_outer(node)):
            if name in constants:
                used.setdefault(name, constants[name])
                names.setdefault(name, f"t{len(names)}")
        for name in node.output:
            names.setdefault(name, f"t{len(names)}")
        for body in _bodies(node):
            _rename(body, names)
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for each in (*graph.input, *graph.output, *used.values()):
        each.name, each.doc_string = names[each.name], ""
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(used.values())
    graph.name = "graph"


def _ordered(graph: Any) -> list[Any]:
    """Nodes that are needed, each behind those that it needs, its first input's first."""
    makers = {name: node for node in graph.node for name in node.output if name}
    done: dict[int, Any] = {}
    waiting = [makers[each.name] for each in reversed(graph.output) if each.name in makers]
    while waiting:
        node = waiting[-1]
        missing = [
            makers[name]
            for name in (*node.input, *_outer(node))
            if name in makers and id(makers[name]) not in done
        ]
        if missing:
            waiting.extend(reversed(missing))
        else:
            done[id(waiting.pop())] = node
    copies = []
    for node in done.values():
        copies.append(type(node)())
        copies[-1].CopyFrom(node)
    return copies


def _bodies(node: Any) -> list[Any]:
    """The graphs inside a loop or a condition."""
    return [each.g for each in node.attribute if each.HasField("g")]


def _outer(node: Any) -> list[str]:
    """What the graphs inside a node take from around it, and some of their own names."""
    found = []
    for body in _bodies(node):
        for inner in body.node:
            found += [*inner.input, *_outer(inner)]
        found += [each.name for each in body.output]
    return found
