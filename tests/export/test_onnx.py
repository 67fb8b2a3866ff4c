"""What an ONNX file consists of, and that its runtimes take it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf.export import export_model, read_metadata
from tests.export.models import KINDS, expected, fixed_input, mixture, model, separated, snr

Exported = Callable[..., Path]
WEIGHTS = ["float32", "float16"]


def graphs(graph: Any) -> list[Any]:
    inner = [each.g for node in graph.node for each in node.attribute if each.HasField("g")]
    return [graph, *(each for body in inner for each in graphs(body))]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_plain_onnx(exported: Exported, kind: str, weights: str) -> None:
    import onnx

    path = exported(kind, "onnx", weights)
    onnx.checker.check_model(str(path), full_check=True)
    loaded = onnx.load(path)
    assert [(each.domain, each.version >= 17) for each in loaded.opset_import] == [("", True)]
    assert not loaded.functions
    nodes = [node for graph in graphs(loaded.graph) for node in graph.node]
    assert {node.domain for node in nodes} == {""}
    inferred = onnx.shape_inference.infer_shapes(loaded, strict_mode=True).graph
    found = {each.type.tensor_type.elem_type for each in inferred.value_info}
    types = onnx.TensorProto
    assert found
    assert not found & {types.COMPLEX64, types.COMPLEX128, types.DOUBLE}
    assert (types.FLOAT16 in {each.data_type for each in loaded.graph.initializer}) == (
        weights == "float16" and kind != "demucs"  # whose weights are all small
    )


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_and_outputs(exported: Exported, kind: str) -> None:
    import onnxruntime

    path = exported(kind, "onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    length = fixed_input(path).shape[-1]
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("mix", "tensor(float)", ["batch", 2, length])
    assert (made.name, made.shape) == ("stems", ["batch", 4, 2, length])


@pytest.mark.parametrize("kind", KINDS)
def test_any_batch(exported: Exported, kind: str) -> None:
    path = exported(kind, "onnx")
    mix = mixture(fixed_input(path).shape[-1], batch=3)
    assert snr(expected(model(kind), mix), separated(path, mix)) >= 100


ANY = [("demucs", {}), ("hdemucs", {}), ("htdemucs", {"use_train_segment": False})]


@pytest.mark.parametrize(("kind", "changes"), ANY, ids=[kind for kind, _ in ANY])
def test_any_length(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    import onnx

    made = model(kind, **changes)
    (path,) = export_model(made, tmp_path / "any.onnx", "onnx", any_length=True)
    assert read_metadata(path).any_length
    onnx.checker.check_model(str(path), full_check=True)
    for length, batch in ((1111, 2), (3001, 1)):
        mix = mixture(length, batch)
        assert snr(expected(made, mix), separated(path, mix)) >= 100


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", KINDS)
def test_openvino_runs_it(exported: Exported, kind: str, weights: str) -> None:
    import openvino

    path = exported(kind, "onnx", weights)
    mix = fixed_input(path)
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    stems = np.asarray(compiled({"mix": mix})["stems"])
    bound = {"float32": 100, "float16": 60}[weights]
    assert snr(expected(model(kind), mix), stems) >= bound


def test_single_operators_where_there_are_some(exported: Exported) -> None:
    import onnx

    kinds = [node.op_type for node in onnx.load(exported("htdemucs", "onnx")).graph.node]
    assert "Erf" not in kinds
    assert "Gelu" in kinds
    assert "LayerNormalization" in kinds
