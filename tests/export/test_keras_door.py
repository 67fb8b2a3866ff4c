"""`model.export`, as every Keras model has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.export.models import Array, expected, mixture, model, snr

# The warnings are those of Keras and its converters about each other.
pytestmark = pytest.mark.filterwarnings("ignore")
NAMES = {"tf_saved_model": "model", "litert": "m.tflite", "onnx": "m.onnx", "openvino": "m.xml"}


def result(path: Path, format: str, mix: Array) -> Array:
    if format == "tf_saved_model":
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))
        return np.asarray(loaded.serve(mix))
    if format == "litert":
        from ai_edge_litert.interpreter import Interpreter

        runner = Interpreter(str(path)).get_signature_runner()
        (stems,) = runner(mix=mix).values()
        return np.asarray(stems)
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {session.get_inputs()[0].name: mix})[0])
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled(mix)[0])


@pytest.mark.parametrize("format", NAMES)
@pytest.mark.parametrize("kind", ["demucs", "htdemucs"])
def test_it_runs_elsewhere(kind: str, format: str, tmp_path: Path) -> None:
    made = model(kind)
    length = int(made.segment * made.samplerate)
    mix = mixture(made.valid_length(length))
    made.export(tmp_path / NAMES[format], format=format, verbose=False)
    assert snr(expected(made, mix), result(tmp_path / NAMES[format], format, mix)) >= 100


@pytest.mark.export
def test_after_a_call_as_before(tmp_path: Path) -> None:
    made = model("hdemucs")
    mix = mixture(int(made.segment * made.samplerate))
    made.export(tmp_path / "before.tflite", format="litert", verbose=False)
    stems = expected(made, mix)
    made.export(tmp_path / "after.tflite", format="litert", verbose=False)
    for name in ("before", "after"):
        assert snr(stems, result(tmp_path / f"{name}.tflite", "litert", mix)) >= 100
