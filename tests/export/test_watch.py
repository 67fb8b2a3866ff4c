"""Debug exports: what layers give comes out of the graph as well, under names of the caller's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf.export import onnx, tflite
from demucs_tf.export.graph import Watch
from demucs_tf.export.lengths import lengths_of
from demucs_tf.layers.base import named_layers, observe
from tests.export.models import Array, mixture, model, snr


@dataclass
class Encoders:
    """Collects what the encoders' layers give, and one step."""

    paths: dict[int, str]
    tensors: dict[str, Any] = field(default_factory=dict)

    def call(self, layer: Any, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        out = function(*inputs)
        path = self.paths.get(id(layer), "")
        if path.startswith("encoder.") and path.count(".") == 1:
            self.tensors[path] = out
        return out

    def step(
        self, layer: Any, name: str, function: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        out = function(*inputs)
        if name == "normalize":
            self.tensors[name] = out
        return out


def encoders(made: Any) -> Encoders:
    return Encoders({id(layer): path for path, layer in named_layers(made)})


def outputs_of(path: Path, mix: Array) -> dict[str, Array]:
    if path.suffix == ".tflite":
        from ai_edge_litert.interpreter import Interpreter

        found: dict[str, Array] = Interpreter(str(path)).get_signature_runner()(mix=mix)
        return found
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {"mix": mix}), strict=True))


@pytest.mark.parametrize("writer", [tflite, onnx], ids=["tflite", "onnx"])
@pytest.mark.parametrize("kind", ["demucs", "htdemucs"])
def test_layers_come_out_under_their_paths(kind: str, writer: Any, tmp_path: Path) -> None:
    made = model(kind)
    lengths, seen = lengths_of(made, None), encoders(made)
    path = tmp_path / f"debug.{writer.__name__.rpartition('.')[2]}"
    writer.write(made, path, lengths, "float32", Watch(seen, seen.tensors))
    mix = mixture(lengths.length)
    found = outputs_of(path, mix)

    eager = encoders(made)
    with observe(eager):
        stems = made(mix, shift=0) if kind == "htdemucs" else made(mix)
    wanted = {"stems": np.asarray(stems), **{k: np.asarray(v) for k, v in eager.tensors.items()}}
    assert found.keys() == wanted.keys() >= {"stems", "encoder.0", "encoder.1", "normalize"}
    for name, array in wanted.items():
        assert snr(array, found[name]) >= 100
