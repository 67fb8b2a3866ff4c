"""Products in bfloat16: what is worked out in them, how exact that is, and where there are none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import keras
import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.inference import engine
from demucs_tf.inference.apply import apply_model
from demucs_tf.inference.engine import forward_function
from demucs_tf.inference.graphs import precision
from demucs_tf.inference.graphs.kept import keep_graphs
from demucs_tf.inference.graphs.trace import graph_of, with_values
from demucs_tf.inference.separator import Separator
from demucs_tf.layers.attention import MultiheadAttention
from demucs_tf.models.demucs import DemucsTF
from demucs_tf.models.htdemucs import HTDemucsTF
from tests.support.fakes import FakeTF, noise, with_processor

# Half the distance of two neighbours in bfloat16, relative: what one rounding costs at most.
ROUNDING = 2.0**-8
WARNING = "products stay in float32"
MIX = noise(1, 2, 4000).astype(np.float32)
HYBRID: dict[str, Any] = {"channels": 48, "growth": 1, "nfft": 256, "depth": 2, "dconv_comp": 4}
MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "small": (DemucsTF, {"channels": 64, "depth": 1, "lstm_layers": 0, "resample": False}),
    "demucs": (DemucsTF, {"channels": 96, "growth": 1, "depth": 3, "lstm_layers": 1}),
    "htdemucs": (
        HTDemucsTF,
        {**HYBRID, "bottom_channels": 128, "t_heads": 4, "t_layers": 2, "segment": 0.4},
    ),
}


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No graphs of other tests, nothing said yet, and a processor that is there for this."""
    keras.utils.set_random_seed(0)
    monkeypatch.setattr(engine, "_graphs", WeakValueDictionary())
    precision._warn_once.cache_clear()
    yield
    precision._warn_once.cache_clear()


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in bfloat16 on every processor: oneDNN imitates them."""
    monkeypatch.setattr(precision, "_missing", lambda place: None)


def model(name: str, **changes: Any) -> Any:
    kind, arguments = MODELS[name]
    return kind(["drums", "vocals"], **{**arguments, **changes})


def snr(wanted: Any, got: Any) -> float:
    wanted, got = (np.asarray(each, np.float64) for each in (wanted, got))
    return float(10 * np.log10(np.square(wanted).sum() / np.square(wanted - got).sum()))


@pytest.mark.parametrize("name", ["demucs", "htdemucs"])
def test_errors_are_those_of_bfloat16(name: str, able: None) -> None:
    port = model(name)
    inputs = [MIX, *([np.zeros(1, np.int32)] if hasattr(port, "draw_shift") else [])]
    wanted = forward_function(port)(*inputs)
    count = len(precision.lowered(port, "bfloat16"))
    assert count > 3
    for kind in ("graph", "eager") if name == "demucs" else ("graph",):
        got = forward_function(port, kind, precision="bfloat16")(*inputs)
        assert got.dtype == np.float32
        # A rounding costs up to half a place, and on average, being uniform, 1 / sqrt(3) of that. A
        # product rounds input, weight and result, and errors of products add up in squares.
        expected = ROUNDING / np.sqrt(3) * np.sqrt(3 * count)
        assert snr(wanted, got) > -20 * np.log10(2 * expected)
        assert snr(wanted, got) < 80  # an error of float32 alone is at 120


@cache
def nodes(name: str) -> dict[str, Any]:
    graph = graph_of(model(name), None, "bfloat16")
    return {operation.name: operation for operation in graph.get_operations()}


@pytest.mark.parametrize("name", ["demucs", "htdemucs"])
def test_only_products_and_what_moves_or_ends_them_are_in_bfloat16(name: str) -> None:
    found = nodes(name).values()
    low = {
        each.type
        for each in found
        if any(tensor.dtype == tf.bfloat16 for tensor in (*each.inputs, *each.outputs))
    }
    products = {"MatMul", "Conv2D", "BatchMatMulV2"}
    moved = {
        *("Cast", "Const", "Identity", "Placeholder", "Reshape", "Transpose", "Pad", "ConcatV2"),
        *("StridedSlice", "Tile", "ReverseV2", "Shape", "ExpandDims", "Squeeze", "Split", "Pack"),
        *("SplitV", "StopGradient", "TensorListReserve", "TensorListFromTensor", "While"),
    }
    # Bias and activation of a product, which oneDNN works out before it rounds; softmax: see below.
    ends = {"BiasAdd", "Erf", "Mul", "AddV2", "Sigmoid", "Relu", "Softmax"}
    assert {"MatMul", "Conv2D"} <= low
    assert low <= products | moved | ends
    for kind in (
        "Mean",
        "Sum",
        "Rsqrt",
        "Sqrt",
        "Square",
        "RFFT",
        "IRFFT",
        "AddN",
        "Sub",
        "RealDiv",
    ):
        operands = [t for each in found if each.type == kind for t in (*each.inputs, *each.outputs)]
        assert tf.bfloat16 not in {tensor.dtype for tensor in operands}


def test_attention_is_in_bfloat16_and_its_softmax_in_float32() -> None:
    found = nodes("htdemucs").values()
    scores = [each for each in found if each.type == "BatchMatMulV2"]
    assert any(each.outputs[0].dtype == tf.bfloat16 for each in scores)
    scores = tf.cast(4 * noise(8, 50, 300), tf.bfloat16)

    @tf.function
    def both(x: Any) -> Any:
        return tf.nn.softmax(x), tf.nn.softmax(tf.cast(x, tf.float32))

    low, exact = both(scores)
    # Rounded once, at its end: half a place, and what two ways in float32 differ by.
    error = np.abs(np.asarray(tf.cast(low, tf.float64)) - np.asarray(exact, np.float64))
    assert (error <= (ROUNDING + 1e-5) * np.asarray(exact)).all()


@pytest.mark.parametrize("rounded", [False, True])
def test_attention_gives_float32_and_is_rounded_only_by_a_last_weight_in_bfloat16(
    rounded: bool,
) -> None:
    layer = MultiheadAttention(96, 4)
    low = ("in_proj_weight", "weight") if rounded else ("in_proj_weight",)
    values = [
        tf.cast(each.value, tf.bfloat16) if each.name in low else each.value
        for each in layer.variables
    ]
    x = noise(1, 20, 96).astype(np.float32)
    out = with_values(layer, values, x, x, x)
    assert out.dtype == tf.float32
    assert np.array_equal(out, tf.cast(tf.cast(out, tf.bfloat16), tf.float32)) == rounded


def test_weights_are_converted_once(able: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run = forward_function(model("small"), precision="bfloat16")
    first = run(MIX)
    monkeypatch.setattr(tf, "cast", None)
    np.testing.assert_array_equal(run(MIX), first)


def test_a_kept_graph_is_of_one_precision(able: None, tmp_path: Path) -> None:
    outs = []
    with keep_graphs(tmp_path):
        for wanted in ("float32", "bfloat16", "bfloat16"):
            keras.utils.set_random_seed(0)
            engine._graphs.clear()
            outs.append(forward_function(model("small"), precision=wanted)(MIX))
    assert len(list(tmp_path.glob("*.graph"))) == 2
    np.testing.assert_array_equal(outs[1], outs[2])
    assert not np.array_equal(outs[0], outs[1])


def test_everything_that_applies_a_model_has_it(able: None) -> None:
    port = model("small")
    wanted = apply_model(port, MIX, shifts=0)
    got = apply_model(port, MIX, shifts=0, precision="bfloat16")
    assert 30 < snr(wanted, got) < 80
    _, stems = Separator(port, shifts=0, precision="bfloat16").separate_tensor(MIX[0])
    _, exact = Separator(port, shifts=0).separate_tensor(MIX[0])
    assert 30 < snr(exact["drums"], stems["drums"]) < 80


@pytest.mark.parametrize(
    ("flags", "setting", "reason"),
    [
        ("fpu avx2 avx512f avx512_vnni", {}, "this processor has no products in bfloat16"),
        ("fpu avx512_bf16", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "ONEDNN_MAX_CPU_ISA=AVX2 keeps"),
        ("amx_bf16", {"DNNL_MAX_CPU_ISA": "avx512_core"}, "keeps oneDNN from"),
        ("fpu avx512_bf16", {"TF_ENABLE_ONEDNN_OPTS": "0"}, "TF_ENABLE_ONEDNN_OPTS=0 leaves out"),
        (None, {}, "this processor has no products in bfloat16"),
    ],
)
def test_without_bfloat16_it_says_so_once_and_stays_in_float32(
    flags: str | None,
    setting: dict[str, str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with_processor(tmp_path, monkeypatch, flags, setting)
    port = model("small")
    with caplog.at_level(logging.WARNING, "demucs_tf"):
        forward_function(port, precision="bfloat16")
        run = forward_function(port, precision="bfloat16")
    [record] = caplog.records
    assert reason in record.message
    assert WARNING in record.message
    if flags is None:
        np.testing.assert_array_equal(run(MIX), forward_function(port)(MIX))


@pytest.mark.parametrize("flags", ["avx512f avx512_bf16", "amx_bf16", "asimd bf16"])
@pytest.mark.parametrize("most", ["", "ALL", "AVX512_CORE_BF16", "AVX512_CORE_AMX"])
def test_processors_that_have_it(
    flags: str, most: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_processor(tmp_path, monkeypatch, flags, {"ONEDNN_MAX_CPU_ISA": most})
    assert precision.in_reach("bfloat16", "CPU:0") == "bfloat16"


@pytest.mark.parametrize(("capability", "found"), [((7, 5), "float32"), ((8, 0), "bfloat16")])
def test_gpus_have_it_from_capability_8_on(
    capability: tuple[int, int],
    found: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["a card"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a card"])
    details = {"compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda card: details)
    assert precision.in_reach("bfloat16", None) == found
    assert [WARNING in each.message for each in caplog.records] == [True] * (found == "float32")


def test_what_it_does_not_go_with() -> None:
    double = model("small", dtype="float64")
    refusals: list[tuple[Any, dict[str, Any], str]] = [
        (double, {}, "precision bfloat16 is for models in float32, and this one is in float64"),
        (FakeTF(), {}, "precision bfloat16 is for models of demucs_tf"),
        (model("small"), {"engine": "xla"}, "engine xla has no precision bfloat16"),
        ("htdemucs", {"engine": "xla"}, "engine xla has no precision bfloat16"),  # not looked for
    ]
    for each, how, message in refusals:
        with pytest.raises(ValueError, match=message):
            Separator(each, precision="bfloat16", **how)
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, got 'half'"):
        apply_model(double, MIX, precision="half")  # type: ignore[arg-type]
