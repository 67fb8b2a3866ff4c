"""LiteRT files of any length: the second graph, which shares the weights of the first."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf import BagOfModels, apply_model
from demucs_tf.errors import ExportError
from demucs_tf.export import export_model, read_metadata
from demucs_tf.export.metadata import ValidLength
from demucs_tf.export.passes import flatbuffer
from demucs_tf.export.request import FORMATS, takes_any_length
from demucs_tf.runtimes.load import load_exported
from tests.export.models import RATE, expected, litert_constants, mixture, model, separated, snr

_WITHIN = {"channels": 8, "dconv_lstm": 1, "dconv_attn": 1, "dconv_depth": 1, "dconv_mode": 1}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    # Frames of 200 steps for a segment, and a single one for short chunks.
    "lstm": ("demucs", {**_WITHIN, "lstm_layers": 1, "dconv_comp": 1, "stride": 2}),
    "hybrid": ("hdemucs", {**_WITHIN, "segment": 0.5}),
    "masks": ("hdemucs", {"cac": False, "wiener_iters": 1, "end_iters": 1, "hybrid_old": True}),
    "bands": ("hdemucs", {"nfft": 1024, "depth": 5, "multi_freqs": [0.25], "dconv_mode": 0}),
}
BOUNDS = {"float32": 100, "float16": 60, "int8": 35}
FILES = [("lstm", "float16"), ("hybrid", "int8"), *((kind, "float32") for kind in KINDS)]
Made = Callable[..., Path]


def made(kind: str) -> Any:
    name, changes = KINDS[kind]
    return model(name, **changes)


@pytest.fixture(scope="module", name="file")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("any")

    @cache
    def exported(kind: str, weights: str, fixed: bool) -> Path:
        path = folder / f"{kind}-{weights}-{fixed}.tflite"
        any_length = False if fixed else None
        export_model(made(kind), path, "tflite", weights=weights, any_length=any_length)
        return path

    return lambda kind, weights="float32", fixed=False: exported(kind, weights, fixed)


@pytest.mark.export
@pytest.mark.parametrize(("kind", "weights"), FILES)
def test_any_length_in_any_order(file: Made, kind: str, weights: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path, source = file(kind, weights), made(kind)
    assert read_metadata(path).any_length
    interpreter = Interpreter(str(path))
    fixed = ("separate_segment", read_metadata(path).length)
    for name, length in (("separate", 777), fixed, ("separate", 6001), ("separate", 70), fixed):
        mix = mixture(length, seed=length)
        stems = interpreter.get_signature_runner(name)(mix=mix)["stems"]
        assert snr(expected(source, mix), stems) >= BOUNDS[weights]


@pytest.mark.parametrize(("kind", "weights"), FILES)
def test_a_whole_track(file: Made, kind: str, weights: str) -> None:
    """Its last chunk is shorter, and nothing stands behind it."""
    mix = mixture(RATE + 1234)
    models: Any = made(kind), load_exported(file(kind, weights))
    wanted, found = (apply_model(each, mix, shifts=0) for each in models)
    assert min(map(snr, wanted[0], found[0])) >= BOUNDS[weights]


@pytest.mark.parametrize("kind", ["lstm", "hybrid"])
def test_the_graph_of_one_length_stays_what_it_is(file: Made, kind: str) -> None:
    """It comes first, and each of its operators and tensors is there; weights are there once.

    With narrow weights: with wide ones, layers of a graph that is alone are joined.
    """
    paths = file(kind, "float16", fixed=True), file(kind, "float16")
    alone, both = (flatbuffer.parsed(path.read_bytes()) for path in paths)
    assert not read_metadata(paths[0]).any_length
    assert [each.signatureKey for each in alone.signatureDefs] == [b"separate_segment"]
    fixed, free = both.signatureDefs
    assert (fixed.signatureKey, fixed.subgraphIndex) == (b"separate_segment", 0)
    assert (free.signatureKey, free.subgraphIndex) == (b"separate", len(alone.subgraphs))
    for one, other in zip(alone.subgraphs, both.subgraphs, strict=False):
        assert [list(each.shape) for each in one.tensors] == [list(e.shape) for e in other.tensors]
        assert len(one.operators) == len(other.operators)
    constants, more = (
        sum(0 if buffer.data is None else len(buffer.data) for buffer in each.buffers)
        for each in (alone, both)
    )
    assert more - constants < 4096


def test_no_weight_is_there_both_narrow_and_wide(file: Made) -> None:
    """An LSTM's are wide inside its loops, and used outside of them as well."""
    path = file("lstm", "float16")
    narrow = [*litert_constants(path, "FLOAT16")]
    assert narrow
    widened = {np.frombuffer(each, np.float16).astype(np.float32).tobytes() for each in narrow}
    assert not widened & {*litert_constants(path, "FLOAT32")}


@pytest.mark.export
def test_the_second_graph_has_builtin_operators_and_no_float64(file: Made) -> None:
    types, codes = flatbuffer.schema().TensorType, flatbuffer.schema().BuiltinOperator
    for kind in KINDS:
        parsed = flatbuffer.parsed(file(kind).read_bytes())
        found = {max(c.builtinCode, c.deprecatedBuiltinCode) for c in parsed.operatorCodes}
        assert codes.CUSTOM not in found
        assert not [c.customCode for c in parsed.operatorCodes if c.customCode]
        kinds = {tensor.type for graph in parsed.subgraphs for tensor in graph.tensors}
        assert types.FLOAT32 in kinds
        assert types.FLOAT64 not in kinds


def test_one_graph_of_a_bag(tmp_path: Path) -> None:
    """Members that pad what they get to the same lengths."""
    table = [[1.0, 0.5, 0.0, 2.0], [0.5, -0.25, 1.0, 1.0]]
    members = BagOfModels([model("demucs", seed, depth=1, dconv_mode=0) for seed in (1, 2)], table)
    path = tmp_path / "bag.tflite"
    export_model(members, path, "tflite", fuse=True)
    assert read_metadata(path).valid_length == ValidLength(1, 8, 4, True)
    mix = mixture(RATE + 1234)
    models: Any = members, load_exported(path)
    wanted, found = (apply_model(each, mix, shifts=0) for each in models)
    assert min(map(snr, wanted[0], found[0])) >= 100


BAG = BagOfModels([model("demucs"), model("hdemucs")])
CASES = [
    (model("htdemucs"), "pads all that it gets to the 2000 samples that it was trained on"),
    (model("htdemucs", use_train_segment=False), "has a transformer, which takes float64 there"),
    (BAG, "is a bag whose members pad what they get to different lengths"),
]


@pytest.mark.parametrize(("source", "reason"), CASES, ids=["trained", "transformer", "bag"])
def test_where_it_can_not_be(source: Any, reason: str, tmp_path: Path) -> None:
    assert not takes_any_length(FORMATS["tflite"], source, None)
    assert not takes_any_length(FORMATS["onnx"], source, None)
    with pytest.raises(ExportError, match=f"any length can't be with a model that {reason}: leave"):
        export_model(source, tmp_path / "m.tflite", "tflite", fuse=True, any_length=True)
    assert not list(tmp_path.iterdir())


def test_positions_are_no_weights_that_int8_rounds(tmp_path: Path) -> None:
    """Attention over 1,000 steps."""
    source = model("hdemucs", **{**_WITHIN, "dconv_lstm": 9}, segment=2)
    path = tmp_path / "long.tflite"
    export_model(source, path, "tflite", weights="int8", any_length=False)
    mix = mixture(2 * RATE)
    assert snr(expected(source, mix), separated(path, mix)) >= 35
    assert np.isfinite(separated(path, mix)).all()
