"""What a LiteRT file consists of: operators, axes, constants, and what a delegate takes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf.export import export_model
from demucs_tf.export.passes import flatbuffer
from tests.export.models import KINDS, expected, fixed_input, model, separated, snr

Exported = Callable[..., Path]

# What mobile GPUs lack.
UNWANTED = {"GATHER_ND", "BROADCAST_TO", "SPLIT", "SPLIT_V", "SELECT", "SELECT_V2", "CUSTOM"}
TWO_MB = 2 * 10**6


def operators(parsed: Any) -> list[str]:
    codes = flatbuffer.schema().BuiltinOperator
    names = {value: name for name, value in vars(codes).items() if isinstance(value, int)}
    kinds = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in parsed.operatorCodes]
    return [names[kinds[e.opcodeIndex]] for g in of_the_segment(parsed) for e in g.operators]


def of_the_segment(parsed: Any) -> list[Any]:
    """The graphs of one length: not the one of any length, which stands behind them."""
    free = [each for each in parsed.signatureDefs if each.signatureKey == b"separate"]
    graphs: list[Any] = parsed.subgraphs[: free[0].subgraphIndex if free else None]
    return graphs


def file(path: Path) -> Any:
    return flatbuffer.parsed(path.read_bytes())


@pytest.mark.parametrize(
    "weights",
    ["float32", *(pytest.param(each, marks=pytest.mark.export) for each in ("float16", "int8"))],
)
@pytest.mark.parametrize("kind", KINDS)
def test_operators_and_axes_are_those_of_a_mobile_gpu(
    exported: Exported, kind: str, weights: str
) -> None:
    parsed = file(exported(kind, "tflite", weights))
    found = operators(parsed)
    assert len(found) > 20
    assert not UNWANTED & set(found)
    assert not [name for name in found if name.startswith(("FLEX", "STABLEHLO"))]
    tensors = [each for graph in of_the_segment(parsed) for each in graph.tensors]
    assert max(len(each.shape) for each in tensors if each.shape is not None) <= 4
    float64 = flatbuffer.schema().TensorType.FLOAT64
    assert not [each for each in tensors if each.type == float64]


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_little_besides_the_weights(exported: Exported, kind: str) -> None:
    size = exported(kind, "tflite").stat().st_size
    assert size - 4 * model(kind).count_params() <= TWO_MB


@pytest.mark.parametrize("kind", KINDS)
def test_the_signature(exported: Exported, kind: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(exported(kind, "tflite")))
    names = ["separate_segment"] if kind == "htdemucs" else ["separate", "separate_segment"]
    shape = {"inputs": ["mix"], "outputs": ["stems"]}
    assert interpreter.get_signature_list() == dict.fromkeys(names, shape)
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    length = fixed_input(exported(kind, "tflite")).shape[-1]
    assert (given["name"], given["shape"].tolist()) == ("mix", [1, 2, length])
    assert (made["name"], made["shape"].tolist()) == ("stems", [1, 4, 2, length])


def taken(path: Path) -> tuple[int, int, int]:
    """How many nodes there are, how many XNNPACK takes, and in how many pieces."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    nodes = interpreter._get_ops_details()
    pieces = [node for node in nodes if node["op_name"] == "DELEGATE"]
    others = [node for node in nodes if node["op_name"] != "DELEGATE"]
    makers = {int(made): node for node in others for made in node["outputs"]}
    inside = {node["index"] for piece in pieces for node in _inside(piece, makers)}
    return len(others), len(inside), len(pieces)


def _inside(piece: dict[str, Any], makers: dict[int, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The nodes that a delegate does: from what it gives back to what it takes."""
    known = set(map(int, piece["inputs"]))
    waiting = [int(made) for made in piece["outputs"]]
    while waiting:
        made = waiting.pop()
        if made not in known and made in makers:
            known.add(made)
            yield makers[made]
            waiting.extend(map(int, makers[made]["inputs"]))


@pytest.mark.parametrize("weights", ["float32", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_xnnpack_takes_nearly_all(exported: Exported, kind: str, weights: str) -> None:
    nodes, inside, pieces = taken(exported(kind, "tflite", weights))
    assert inside >= 0.99 * nodes - 1  # small models have few nodes
    assert 2 * pieces + 1 <= 5  # with what is left before, between and behind them


def test_narrow_weights_are_stored_once_and_narrow(exported: Exported) -> None:
    types = flatbuffer.schema().TensorType
    for weights, kind in (("float16", types.FLOAT16), ("int8", types.INT8)):
        parsed = file(exported("htdemucs", "tflite", weights))
        found = [each for each in parsed.subgraphs[0].tensors if each.type == kind]
        assert found
        sizes = [len(flatbuffer.constant(parsed, each)) for each in found]  # type: ignore[arg-type]
        width = {"float16": 2, "int8": 1}[weights]
        assert sizes == [width * int(np.prod(each.shape)) for each in found]


def test_no_factor_widens_the_weights_of_the_transformer(tmp_path: Path) -> None:
    """Those of norms and of LayerScale stay apart from the weights behind them."""
    made = model("htdemucs", bottom_channels=32, t_layers=1)
    path = tmp_path / "model.tflite"
    export_model(made, path, "tflite", weights="float16")
    parsed, types = file(path), flatbuffer.schema().TensorType
    narrow = [tuple(e.shape) for e in parsed.subgraphs[0].tensors if e.type == types.FLOAT16]
    assert narrow.count((32, 128)) == narrow.count((128, 32)) == 2  # one a branch


def test_float16_is_float32_where_the_checkpoint_is(tmp_path: Path) -> None:
    """As the published ones are."""
    made = model("htdemucs")
    for variable in made.variables:
        variable.assign(np.asarray(variable).astype(np.float16).astype(np.float32))
    for suffix in (".tflite", ".onnx"):
        path = tmp_path / f"half{suffix}"
        export_model(made, path, suffix[1:], weights="float16")
        mix = fixed_input(path)
        assert snr(expected(made, mix), separated(path, mix)) >= 100
