"""What an ONNX file consists of, and that its runtimes take it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf import apply_model
from demucs_tf.export import export_model, read_metadata
from demucs_tf.export.request import FORMATS, takes_any_length
from demucs_tf.runtimes.load import load_exported
from tests.export.models import KINDS, RATE, expected, fixed_input, mixture, model, separated, snr

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
    stored = {each.data_type for each in loaded.graph.initializer}
    assert weights == "float16" or types.FLOAT16 not in stored


def test_float16_is_how_weights_are_stored(tmp_path: Path) -> None:
    """All of a convolution's; those of the models above are too few."""
    import onnx

    made = model("demucs", channels=16, dconv_mode=0)
    (path,) = export_model(made, tmp_path / "narrow.onnx", "onnx", weights="float16")
    types = onnx.TensorProto
    large = [each for each in onnx.load(path).graph.initializer if np.prod(each.dims) >= 1024]
    assert {each.data_type for each in large} == {types.FLOAT16}
    assert sum(np.prod(each.dims) for each in large) >= 0.8 * made.count_params()


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_and_outputs(exported: Exported, kind: str) -> None:
    import onnxruntime

    path = exported(kind, "onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    length = fixed_input(path).shape[-1]
    time = length if kind == "htdemucs" else "time"  # its transformer was trained on one
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("mix", "tensor(float)", ["batch", 2, time])
    assert (made.name, made.shape) == ("stems", ["batch", 4, 2, time])


@pytest.mark.parametrize("kind", KINDS)
def test_any_batch(exported: Exported, kind: str) -> None:
    path = exported(kind, "onnx")
    mix = mixture(fixed_input(path).shape[-1], batch=3)
    assert snr(expected(model(kind), mix), separated(path, mix)) >= 100


@pytest.mark.parametrize("kind", ["demucs", "hdemucs"])
def test_any_length(exported: Exported, kind: str) -> None:
    """And a track, whose last chunk is shorter, with nothing behind it."""
    path, made = exported(kind, "onnx"), model(kind)
    assert read_metadata(path).any_length
    for length, batch in ((1111, 2), (3001, 1)):
        mix = mixture(length, batch)
        assert snr(expected(made, mix), separated(path, mix)) >= 100
    track = mixture(RATE + 1234)
    models: Any = made, load_exported(path)
    wanted, found = (apply_model(each, track, shifts=0) for each in models)
    assert min(map(snr, wanted[0], found[0])) >= 100


ASKED = [("htdemucs", {"use_train_segment": False}, True), ("demucs", {}, False)]


@pytest.mark.parametrize(("kind", "changes", "asked"), ASKED, ids=[kind for kind, *_ in ASKED])
def test_a_length_that_is_asked_for(
    kind: str, changes: dict[str, Any], asked: bool, tmp_path: Path
) -> None:
    """A transformer has one length unless it is asked for any."""
    import onnx

    made = model(kind, **changes)
    assert takes_any_length(FORMATS["onnx"], made, None) is not asked
    (path,) = export_model(made, tmp_path / "asked.onnx", "onnx", any_length=asked)
    onnx.checker.check_model(str(path), full_check=True)
    found = read_metadata(path)
    assert found.any_length is asked
    for length in (1111, 3001) if asked else (found.length,):
        mix = mixture(length)
        assert snr(expected(made, mix), separated(path, mix)) >= 100
    assert fixed(path) is not asked


def fixed(path: Path) -> bool:
    """Whether the input has one length."""
    import onnx

    return bool(onnx.load(path).graph.input[0].type.tensor_type.shape.dim[2].dim_value)


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
    assert {"Gelu", "LayerNormalization", "Gemm"} <= set(kinds)


def test_a_bias_is_added_with_its_product_but_where_a_gelu_takes_it(exported: Exported) -> None:
    import onnx

    graph = onnx.load(exported("htdemucs", "onnx")).graph
    makers = {name: node for node in graph.node for name in node.output}
    vectors = {each.name for each in graph.initializer if len(each.dims) == 1}
    behind = {node.input[0] for node in graph.node if node.op_type == "Gelu"}
    biased = [
        node
        for node in graph.node
        if node.op_type == "Add" and any(name in vectors for name in node.input)
    ]
    products = [n for n in biased for name in n.input if _is_product(makers.get(name), makers)]
    assert {name for node in products for name in node.output} <= behind
    assert len(products) >= 4, "two layers of two branches"


def _is_product(node: Any, makers: dict[str, Any]) -> bool:
    """Whether it gives a product, or one in another shape."""
    if node is not None and node.op_type == "Reshape":
        node = makers.get(node.input[0])
    return node is not None and node.op_type == "MatMul"


@pytest.mark.parametrize("kind", KINDS)
def test_convolutions_pad_by_themselves(exported: Exported, kind: str) -> None:
    """Of zeros around rows and columns none are left in front of one, but by a length unknown."""
    import onnx

    graph = onnx.load(exported(kind, "onnx")).graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {each.name for each in graph.initializer}
    padded = 0
    for node in graph.node:
        if node.op_type == "Conv":
            before = makers.get(node.input[0])
            while before is not None and before.op_type in ("Transpose", "Unsqueeze"):
                before = makers.get(before.input[0])
            if before is not None and before.op_type == "Pad":
                assert kind != "htdemucs"  # has one length
                assert before.input[1] not in constants
            padded += any(any(each.ints) for each in node.attribute if each.name == "pads")
    assert padded >= 2


# Widths and value (None: it reflects) of pads behind each other, and how many are left.
PADS = [
    ([([0, 1, 0, 0, 2, 0], 0.0)], 0),
    ([([0, 0, 0, 0, 1, 0], 0.0), ([0, 2, 0, 0, 2, 0], 0.0)], 0),  # both, the last one first
    ([([0, 1, 0, 0, 2, 0], 1.0)], 1),
    ([([0, 0, 1, 0, 0, 2], 0.0)], 1),  # channels
    ([([0, 3, 0, 0, -1, 0], 0.0)], 1),
    ([([0, 1, 0, 0, 2, 0], None)], 1),
]


@pytest.mark.parametrize(("pads", "left"), PADS)
def test_a_convolution_pads_what_is_zero_around_its_input(pads: Any, left: int) -> None:
    """And gives what it gave: (B, T, C) behind pads, which a kernel of three goes over."""
    import onnx
    import onnxruntime
    from onnx import helper

    from demucs_tf.export.passes.onnx_fusions import fuse

    nodes, constants, name = [], {"axes": np.array([1])}, "mix"
    for number, (widths, value) in enumerate(pads):
        constants[f"widths {number}"] = np.array(widths)
        constants[f"value {number}"] = np.float32(value or 0)
        mode = "reflect" if value is None else "constant"
        inputs = [name, f"widths {number}", f"value {number}"]
        name = f"padded {number}"
        nodes.append(helper.make_node("Pad", inputs, [name], mode=mode))
    channels = 2 + sum(widths[2] + widths[5] for widths, _ in pads)
    kernel = np.random.default_rng(0).normal(size=(4, channels, 1, 3))
    constants["kernel"] = kernel.astype(np.float32)
    nodes += [
        helper.make_node("Unsqueeze", [name, "axes"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "kernel"], ["stems"], pads=[0, 1, 0, 0]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("mix", onnx.TensorProto.FLOAT, [1, 9, 2])],
        [helper.make_tensor_value_info("stems", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)

    def run() -> Any:
        session = onnxruntime.InferenceSession(
            made.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return session.run(None, {"mix": mixture(2).reshape(1, 2, 2).repeat(5, 1)[:, :9]})[0]

    before = run()
    fuse(made)
    needed, pads_left = {"stems"}, 0
    for node in reversed(made.graph.node):
        if needed & {*node.output}:
            needed |= {*node.input}
            pads_left += node.op_type == "Pad"
    assert pads_left == left
    assert np.array_equal(run(), before)
