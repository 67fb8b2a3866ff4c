"""LiteRT: one flatbuffer of builtin operators, and a batch of 1.

What has to be fast is a graph of one length. Where a model takes any, there is a second graph for
that, which shares the weights: for the shorter last chunk of a track.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from demucs_tf.errors import ExportError
from demucs_tf.export.graph import Traced, Watch, trace
from demucs_tf.export.lengths import Lengths
from demucs_tf.export.passes import flatbuffer
from demucs_tf.export.passes.join import append, resizable
from demucs_tf.utils.quiet import import_tensorflow, quiet
from demucs_tf.utils.text import printable


def write(
    model: Any, path: Path, lengths: Lengths, weights: str, watch: Watch | None = None
) -> None:
    """Convert a model and write it to `path`.

    Args:
        model: a model or a bag.
        lengths: see `lengths_of`.
        weights: "float32", "float16" or "int8".
        watch: what else is to come out of the signature.

    Raises:
        ExportError: the model has operators that LiteRT lacks.
        OSError: it can't be written.
    """
    converted, outputs = _graph(model, lengths, lengths.length, weights, watch)
    signatures = [("separate_segment", 0, outputs)]
    if lengths.any_length:
        other, outputs = _graph(model, lengths, None, weights)
        signatures.append(("separate", append(converted, other), outputs))
    flatbuffer.canonical(converted)
    for signature in signatures:
        flatbuffer.sign(converted, *signature)
    path.write_bytes(flatbuffer.serialised(converted))


def _graph(
    model: Any, lengths: Lengths, time: int | None, weights: str, watch: Watch | None = None
) -> tuple[Any, tuple[str, ...]]:
    """Convert a model for T = `time`, or for any: as an object, and the names of its outputs."""
    traced = trace(
        model,
        lengths,
        batch=1,
        time=time,
        rounded=weights != "float32",
        watch=watch,
        arrays=False,
        # Two graphs share their weights, and narrow weights are not multiplied with factors.
        in_one=weights == "float32" and not lengths.any_length,
    )
    converted = flatbuffer.parsed(_converted(traced))
    flatbuffer.fill_inputs(converted, traced.inputs)
    if weights != "float32":
        flatbuffer.narrow(converted, weights, traced.large)
    if time is None:
        resizable(converted, 0, axis=2, length=lengths.length)
    return converted, traced.outputs


def _converted(traced: Traced) -> bytes:
    tf = import_tensorflow()
    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.function])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            data: bytes = converter.convert()
        except Exception as error:
            named = ", ".join(sorted(set(re.findall(r"'tf\.(\w+)' op", str(error)))))
            raise ExportError(
                f"LiteRT lacks what this model needs ({named or printable(str(error), 300)}): "
                "export it as onnx or saved-model."
            ) from error
    return data
