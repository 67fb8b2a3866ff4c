"""Steps about one model besides: bags of its kind, and its ONNX file in another runtime."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.exports.files import OVERLAP, file_of
from benchmarks.exports.steps import ROUNDS, THREADS, distance, exported, heard_by_reference
from benchmarks.models import music, port
from benchmarks.timing import timed

BAG_SECONDS = 9  # of music: two chunks of htdemucs
# By name: members, and how much each counts for each of four stems.
TABLES = {
    "one-hot": np.eye(4).tolist(),
    "general": [[1.0, 0.5, 0.0, 2.0], [0.5, -0.25, 1.0, 1.0], [0.0, 1.0, 1.0, 0.1], [0.2] * 4],
    "one-hot of two": [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]],
    "general of two": [[1.0, 0.5, 0.0, 2.0], [0.5, -0.25, 1.0, 1.0]],
}


def bag(folder: Path, name: str, form: str, table: str, way: str) -> dict[str, Any]:
    """How far an exported bag of full-size members is from `apply_model` of the bag, in dB.

    Args:
        folder: of all files.
        name: of the members' model; their weights differ.
        form: the format.
        table: one of `TABLES`.
        way: "fused": one graph; "folder": a file for each member.
    """
    from demucs_tf import BagOfModels, apply_model
    from demucs_tf.export import export_model
    from demucs_tf.runtimes.load import load_exported

    weights = TABLES[table]
    members = BagOfModels([port(name, seed=seed) for seed in range(len(weights))], weights)
    path = folder / (f"{name}-bag.{form}" if way == "fused" else f"{name}-bag-{form}")
    start, worked = time.monotonic(), time.process_time()
    export_model(members, path, form, fuse=way == "fused", force=True)
    took = {"seconds": time.monotonic() - start, "cpu": time.process_time() - worked}
    mix = music()[None, :, : BAG_SECONDS * members.samplerate]
    models: Any = members, load_exported(path, THREADS)
    wanted, found = (apply_model(each, mix, shifts=0, overlap=OVERLAP)[0] for each in models)
    return took | distance(found, wanted)


def openvino(folder: Path, name: str) -> dict[str, Any]:
    """An ONNX file in OpenVINO: dB over the whole track, and seconds in turns with ONNX Runtime."""
    import openvino

    from demucs_tf import apply_model
    from demucs_tf.runtimes.model import exported_model

    path = file_of(folder, name, ("onnx", "float32"))
    other = exported(path)
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": THREADS}
    compiled = openvino.Core().compile_model(path, "CPU", options)
    model: Any = exported_model(
        other.metadata, "openvino", lambda mix: np.asarray(compiled({"mix": mix})["stems"])
    )
    stored = heard_by_reference(folder, name)
    stems = apply_model(model, stored["mix"][None], shifts=0, overlap=OVERLAP)[0]
    found = distance(stems, stored["mix_stems"])
    runs: dict[str, Callable[[Any], Any]] = {"openvino": model, "onnxruntime": other}
    times: dict[str, list[float]] = {key: [] for key in runs}
    mix = music()[None, :, : other.metadata.length]
    for _ in range(ROUNDS):
        for key, run in runs.items():
            times[key].append(timed(partial(run, mix))["seconds"])
    return found | {"times": {key: each[1:] for key, each in times.items()}}


STEPS: dict[str, Callable[..., dict[str, Any]]] = {"bag": bag, "openvino": openvino}
