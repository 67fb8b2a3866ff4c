"""Looks into an exported graph: a debug export has the output of each layer and step as well."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from demucs_tf.export.graph import Watch
from parity.cases import Case
from parity.core.capture.port import Outputs, layers_by_path
from parity.core.capture.recorders import Recorder
from parity.core.checking import check_outputs
from parity.core.events import Key
from parity.core.result import Mode, ParityError, Result
from parity.demucs import SUBJECT
from parity.exports import engines
from parity.exports.columns import WIDER_INSIDE, Column, refusal
from parity.run import make_port, stored_expected


class Collector(Recorder):
    """A recorder that also keeps every tensor under a name of its own: "path#call#leaf"."""

    def __init__(self, port: Any) -> None:
        super().__init__(layers_by_path(SUBJECT, port))
        self.tensors: dict[str, Any] = {}

    def note(self, key: Key, output: Any) -> None:
        """Keep an output, leaf by leaf."""
        super().note(key, output)
        path, call = key
        for leaf, tensor in enumerate(self.outputs[key]):
            self.tensors[f"{path}#{call}#{leaf}"] = tensor


def check_layers(case: Case, column: Column) -> Result:
    """Export a case's model with all of its layers, and hold them against the golden.

    Args:
        case: one whose golden is stored.
        column: a LiteRT or ONNX file with float32 weights.

    Raises:
        ParityError: another column, or a case that this one can't have.
        ExportError: the format can't have this model.
    """
    if column.format not in ("tflite", "onnx") or column.weights != "float32":
        raise ParityError(
            f"{column.name}: layers are looked at in LiteRT float32 and ONNX float32 files."
        )
    reason = refusal(case, column)
    if not reason and column.format == "tflite" and case.batch > 1:
        reason = f"it has a batch of {case.batch}, and a LiteRT file takes one item"
    if reason:
        raise ParityError(f"{case.name} can't be looked into: {reason}.")
    expected = stored_expected(case)
    model = make_port(case, "float32")
    collector = Collector(model)
    watch = Watch(collector, collector.tensors)
    mix = expected.root.inputs[0].astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = engines.export(model, column, mix.shape[-1], Path(folder), watch)
        named = engines.run(path, mix, inside=True)
    found: dict[Mode, Outputs] = {"cumulative": _by_key(named)}
    return check_outputs(
        SUBJECT, expected, model, "float32", found, case.name, column.name, WIDER_INSIDE
    )


def _by_key(named: engines.Named) -> Outputs:
    leaves: dict[Key, dict[int, Any]] = defaultdict(dict)
    for name, array in named.items():
        if name != "stems":
            path, call, leaf = name.rsplit("#", 2)
            leaves[path, int(call)][int(leaf)] = array
    return {key: [by_leaf[n] for n in sorted(by_leaf)] for key, by_leaf in leaves.items()}
