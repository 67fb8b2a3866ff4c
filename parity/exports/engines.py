"""Exports a case's model and runs the file: from a column to named outputs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.export.graph import Watch
from demucs_tf.export.lengths import Lengths
from demucs_tf.export.request import FORMATS
from demucs_tf.utils.quiet import quiet
from parity.exports.columns import Column

Array = npt.NDArray[Any]
Named = dict[str, Array]


def export(model: Any, column: Column, length: int, folder: Path, watch: Watch | None) -> Path:
    """Export a model for inputs of `length` samples, as they are: a case is no track of chunks.

    Raises:
        ExportError: the format can't have this model.
    """
    form = FORMATS[column.format or ""]
    path = folder / f"{column.format}-{column.weights}{form.suffix}"
    options = {} if watch is None else {"watch": watch}
    import_module(form.writer).write(
        model, path, Lengths(length, length), column.weights, **options
    )
    return path


def run(path: Path, mix: Array, inside: bool = False) -> Named:
    """What an exported file makes of `mix`: all of its outputs, by their names.

    Args:
        path: of the file.
        mix: (B, A, T).
        inside: whether it is a debug export, whose layers come out.
    """
    return _RUNTIMES[path.suffix](path, mix, inside)


def _saved_model(path: Path, mix: Array, _: bool) -> Named:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    found = loaded.signatures["separate_segment"](mix=tf.constant(mix))
    return {name: np.asarray(each) for name, each in found.items()}


def _litert(path: Path, mix: Array, _: bool) -> Named:
    """One item of the batch after the other: the file takes one."""
    with quiet():  # it tells of its delegates past Python
        from ai_edge_litert.interpreter import Interpreter

        run = Interpreter(str(path)).get_signature_runner("separate_segment")
        items = [run(mix=item[None]) for item in mix]
    return {name: np.concatenate([item[name] for item in items]) for name in items[0]}


def _onnx(path: Path, mix: Array, inside: bool) -> Named:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    if inside:
        # The graph as it is in the file: what the runtime would fuse has no name to come out under,
        # and with some inner tensors as outputs its fusions fail.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {"mix": mix}), strict=True))


_RUNTIMES: dict[str, Callable[[Path, Array, bool], Named]] = {
    "": _saved_model,
    ".tflite": _litert,
    ".onnx": _onnx,
}
