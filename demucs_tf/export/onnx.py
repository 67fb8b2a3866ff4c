"""ONNX: one graph of the default domain, any batch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from demucs_tf.errors import ExportError
from demucs_tf.export.graph import Traced, Watch, trace
from demucs_tf.export.lengths import Lengths
from demucs_tf.utils.quiet import quiet
from demucs_tf.utils.text import printable

OPSET = 18
_FEW = 1024  # numbers: constants with fewer stay float32


def write(
    model: Any, path: Path, lengths: Lengths, weights: str, watch: Watch | None = None
) -> None:
    """Convert a model, check the result and write it to `path`.

    Args:
        model: a model or a bag.
        lengths: see `lengths_of`.
        weights: "float32" or "float16".
        watch: what else is to come out of the graph.

    Raises:
        ExportError: the model has operators that ONNX lacks.
        OSError: it can't be written.
    """
    narrow = weights == "float16"
    traced = trace(model, lengths, batch=None, time=lengths.length, rounded=narrow, watch=watch)
    converted = _converted(traced)
    if narrow:
        _narrow(converted.graph)
    _canonical(converted, traced.outputs)
    _check(converted)
    path.write_bytes(converted.SerializeToString(deterministic=True))


def _converted(traced: Traced) -> Any:
    function = traced.function
    with _calm():
        from tf2onnx.convert import _convert_common

        try:
            model, _ = _convert_common(
                function.graph.as_graph_def(add_shapes=True),
                name="demucs_tf",
                opset=OPSET,
                input_names=[each.name for each in function.inputs],
                output_names=[each.name for each in function.outputs],
            )
        except Exception as error:
            raise ExportError(
                f"ONNX lacks an operator that this model needs: {printable(str(error), 300)} "
                "Export it as saved-model."
            ) from error
    _fill_inputs(model.graph, traced.inputs)
    return model


@contextmanager
def _calm() -> Iterator[None]:
    """Without what tf2onnx says of its progress, and of the libraries that it uses."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _fill_inputs(graph: Any, values: Sequence[Any]) -> None:
    """Make constants of all inputs but the first."""
    from onnx import numpy_helper

    for given, value in zip(graph.input[1:], values, strict=True):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), given.name))
    del graph.input[1:]


def _narrow(graph: Any) -> None:
    """Store as float16 the constants that lose nothing by it, as rounded weights do."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):  # such a value is none of a weight
            small = values.astype(np.float16)
        if values.size >= _FEW and np.array_equal(values, small.astype(np.float32)):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(small, f"{name}/float16"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _canonical(model: Any, outputs: Sequence[str]) -> None:
    """Make it the same in every process: names, order, and nothing that is said twice.

    tf2onnx's names are made of those of Keras's layers, which are numbered in each process.
    """
    from onnx import helper

    graph = model.graph
    names = {graph.input[0].name: "mix", "": ""}
    names.update(zip((each.name for each in graph.output), outputs, strict=True))
    _rename(graph, names)
    for each in (*graph.input, *graph.output):
        for place, axis in enumerate(each.type.tensor_type.shape.dim):
            if not axis.HasField("dim_value"):
                axis.dim_param = {0: "batch"}.get(place, "time")
    graph.name = "demucs_tf"
    model.doc_string = model.producer_version = ""
    model.producer_name = "demucs_tf"
    del model.opset_import[:], model.metadata_props[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))


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


def _check(model: Any) -> None:
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise ExportError(
            f"onnx.checker refuses the graph: {printable(str(error), 300)}"
        ) from error
