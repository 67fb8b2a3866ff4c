"""Small models of each kind, their files, and what the runtimes make of a mixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import demucs_tf
from demucs_tf.checkpoints.weights import load_state, shapes_of
from demucs_tf.export import read_metadata
from parity.core.seeding import seeded_state

Array = npt.NDArray[Any]

SOURCES = ["drums", "bass", "other", "vocals"]
RATE = 8000
_HYBRID = {"channels": 4, "depth": 2, "dconv_comp": 2, "samplerate": RATE, "segment": 0.25}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "demucs": (
        "DemucsTF",
        {"channels": 4, "depth": 2, "lstm_layers": 0, "samplerate": RATE, "segment": 0.25},
    ),
    "hdemucs": ("HDemucsTF", {**_HYBRID, "nfft": 64}),
    "htdemucs": ("HTDemucsTF", {**_HYBRID, "nfft": 256, "t_heads": 2, "t_layers": 2}),
}


def model(kind: str, seed: int = 0, **changes: Any) -> Any:
    """A small model with weights of order 1."""
    name, arguments = KINDS[kind]
    made = getattr(demucs_tf, name)(SOURCES, **{**arguments, **changes})
    load_state(made, seeded_state(shapes_of(made).items(), seed))
    return made


def mixture(length: int, batch: int = 1, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(batch, 2, length)).astype(np.float32)


def expected(model: Any, mix: Array) -> Array:
    """What TensorFlow makes of it."""
    options = {"shift": 0} if hasattr(model, "draw_shift") else {}
    return np.asarray(model(mix, **options))


def separated(path: Path, mix: Array, signature: str = "separate_segment") -> Array:
    """What the runtime of an exported file makes of it."""
    stems: Array
    if path.suffix == ".tflite":
        from ai_edge_litert.interpreter import Interpreter

        stems = Interpreter(str(path)).get_signature_runner(signature)(mix=mix)["stems"]
    elif path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (stems,) = session.run(["stems"], {"mix": mix})
    else:
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))
        stems = loaded.signatures[signature](mix=tf.constant(mix))["stems"].numpy()
    return stems


def snr(reference: Array, other: Array) -> float:
    """Signal to noise in dB."""
    assert reference.shape == other.shape
    wide = reference.astype(np.float64)
    error = float(np.square(wide - other).sum())
    return float(10 * np.log10(np.square(wide).sum() / error)) if error else float("inf")


def fixed_input(path: Path) -> Array:
    """A mixture of the length that the file takes."""
    return mixture(read_metadata(path).length)


def float32_constants(path: Path) -> Iterator[Array]:
    """The values of each constant of a LiteRT or ONNX file that is stored in float32."""
    if path.suffix == ".onnx":
        import onnx

        for tensor in onnx.load(path).graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT:
                yield onnx.numpy_helper.to_array(tensor).ravel()
        return
    for data in litert_constants(path, "FLOAT32"):
        yield np.frombuffer(data, np.float32)


def litert_constants(path: Path, kind: str) -> Iterator[bytes]:
    """The bytes of each constant of a type, in all graphs of a LiteRT file."""
    from demucs_tf.export.passes import flatbuffer

    parsed, types = flatbuffer.parsed(path.read_bytes()), flatbuffer.schema().TensorType
    for graph in parsed.subgraphs:
        for tensor in graph.tensors:
            data = flatbuffer.constant(parsed, tensor)
            if tensor.type == getattr(types, kind) and data is not None:
                yield data.tobytes()
