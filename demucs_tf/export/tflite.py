"""LiteRT: one flatbuffer of builtin operators, a fixed length of `mix` and a batch of 1."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from demucs_tf.errors import ExportError
from demucs_tf.export.graph import Traced, Watch, trace
from demucs_tf.export.lengths import Lengths
from demucs_tf.export.passes import flatbuffer
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
    traced = trace(
        model,
        lengths,
        batch=1,
        time=lengths.length,
        rounded=weights != "float32",
        watch=watch,
    )
    converted = flatbuffer.parsed(_converted(traced))
    flatbuffer.fill_inputs(converted, traced.inputs)
    if weights != "float32":
        flatbuffer.narrow(converted, weights)
    flatbuffer.canonical(converted)
    flatbuffer.sign(converted, "separate_segment", 0, traced.outputs)
    path.write_bytes(flatbuffer.serialised(converted))


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
