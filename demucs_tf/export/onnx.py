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
from demucs_tf.export.passes.onnx_fusions import fuse
from demucs_tf.export.passes.onnx_names import canonical
from demucs_tf.utils.quiet import import_tensorflow, quiet
from demucs_tf.utils.text import printable

OPSET = 18  # the last that tf2onnx knows; the fusions need a later one
_LARGE = 20 * 10**6  # bytes of a graph
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
    time = None if lengths.any_length else lengths.length
    traced = trace(model, lengths, batch=None, time=time, rounded=narrow, watch=watch, in_one=True)
    converted = _converted(traced)
    fuse(converted)
    if narrow:
        _narrow(converted.graph)
    _give_by_nodes(converted.graph)
    canonical(converted, traced.outputs)
    _check(converted)
    path.write_bytes(converted.SerializeToString(deterministic=True))


def _converted(traced: Traced) -> Any:
    tf = import_tensorflow()
    function = traced.function
    with _calm():
        from tf2onnx.optimizer import optimize_graph
        from tf2onnx.tfonnx import process_tf_graph

        try:
            with tf.Graph().as_default() as graph:
                definition = function.graph.as_graph_def(add_shapes=True)
                # Copies of the graph before each step take time where it has many nodes, and free
                # what protobuf would keep of large constants: twice what htdemucs may take.
                copies = definition.ByteSize() > _LARGE
                tf.import_graph_def(definition, name="")
                converted = process_tf_graph(
                    graph,
                    opset=OPSET,
                    input_names=[each.name for each in function.inputs],
                    output_names=[each.name for each in function.outputs],
                )
                model = optimize_graph(converted, catch_errors=copies).make_model("demucs_tf")
        except Exception as error:
            raise ExportError(
                f"ONNX lacks what this model needs ({printable(str(error), 300)}): export it as "
                "saved-model."
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


def _give_by_nodes(graph: Any) -> None:
    """Put a node behind each constant that is an output, as layers may be: ONNX wants one."""
    from onnx import helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    for name in [each.name for each in graph.output if each.name in constants]:
        constants[name].name = f"{name}/constant"
        graph.node.insert(0, helper.make_node("Identity", [f"{name}/constant"], [name]))


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


def _check(model: Any) -> None:
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise ExportError(
            f"onnx.checker refuses the graph: {printable(str(error), 300)}"
        ) from error
