"""Both sides in one process: a model as a function from an array to an array."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from benchmarks import models
from benchmarks.timing import LeftOut, within
from demucs_tf.inference.engine import RUNTIMES
from demucs_tf.inference.settings import Engine
from parity.core.compare import Array

Forward = Callable[[Array], Array]
# Those of `demucs_tf.inference.settings` that run a model itself, whichever there are.
ENGINES = tuple(name for name in get_args(Engine) if name not in ("auto", *RUNTIMES))


def use_threads(threads: int) -> None:
    """Tell both frameworks; TensorFlow has to hear it before it does anything."""
    import tensorflow as tf
    import torch

    torch.set_num_threads(threads)
    tf.config.threading.set_intra_op_parallelism_threads(threads)


def forward(way: str, model: str, place: Any, options: dict[str, Any]) -> Forward:
    """A way to run a model of `benchmarks.models`.

    Raises:
        LeftOut: it can't run here.
    """
    device = options.get("device", "cpu")
    if way in ENGINES:
        return of_port(model, way, device)
    if way == "bfloat16":
        return of_port(model, "graph", device, way)
    if way.startswith("torch"):
        return of_torch(model, device, options["compile"] if way == "torch.compile" else 0)
    return _EXPORTED[way](model, place)


@cache
def the_port(model: str) -> Any:
    """One port for all ways."""
    return models.port(model)


@cache
def the_reference(model: str) -> Any:
    """One reference for all ways."""
    return models.reference(model)


def chunk(model: str, seed: int = 0, batch: int = 1) -> Array:
    """What one pass hears: a segment of noise (B, A, T), as long as every way takes it."""
    module = the_reference(model)
    length = int(module.segment * module.samplerate)
    length = module.valid_length(length) if hasattr(module, "valid_length") else length
    shape = (batch, module.audio_channels, length)
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def forget() -> None:
    """Let go of all models, which would fill the memory."""
    the_port.cache_clear()
    the_reference.cache_clear()


def of_port(model: str, engine: str, device: str = "cpu", precision: str = "float32") -> Forward:
    """The port by one of its engines."""
    from demucs_tf.inference.engine import device_name, forward_function
    from demucs_tf.inference.graphs.precision import in_reach

    if in_reach(precision, device_name(device)) != precision:
        raise LeftOut(f"there is no {precision} here")
    port = the_port(model)
    run = forward_function(port, engine, device, precision)
    shifted = hasattr(port, "draw_shift")

    def call(mix: Array) -> Array:
        return run(mix, *([np.zeros(len(mix), np.int32)] if shifted else []))

    return call


def of_torch(model: str, device: str = "cpu", compile_within: int = 0) -> Forward:
    """The reference, eager, or compiled if that takes at most so many seconds."""
    import torch

    place = device.replace("gpu", "cuda")
    module = the_reference(model).to(place)
    run = torch.compile(module) if compile_within else module

    def call(mix: Array) -> Array:
        with torch.no_grad():
            stems: Array = run(torch.from_numpy(mix).to(place)).cpu().numpy()
        return stems

    return _compiled(call, module, compile_within) if compile_within else call


def _compiled(call: Forward, module: Any, seconds: int) -> Forward:
    length = int(module.segment * module.samplerate)
    mix = np.zeros((1, module.audio_channels, length), np.float32)
    try:
        with within(seconds, "torch.compile"):
            call(mix)
    except LeftOut:
        raise
    except Exception as error:  # whatever its backends find
        raise LeftOut(f"torch.compile fails: {str(error).strip().splitlines()[0]}") from error
    return call


def _file(form: str, model: str, place: Any) -> Path:
    """The exported file, which is made once."""
    from demucs_tf.errors import ExportError
    from demucs_tf.export import export_model

    path: Path = place.folder / f"{model}.{form}"
    if not path.exists():
        try:
            export_model(the_port(model), path, form, name=model)
        except ExportError as error:
            raise LeftOut(str(error)) from error
    return path


def _of_file(form: str, model: str, place: Any) -> Forward:
    from demucs_tf.errors import ExportError
    from demucs_tf.runtimes.load import load_exported

    try:
        exported = load_exported(_file(form, model, place), place.threads)
    except ExportError as error:
        raise LeftOut(str(error)) from error
    return lambda mix: np.asarray(exported(mix))


def _of_openvino(model: str, place: Any) -> Forward:
    try:
        import openvino
    except ImportError as error:
        raise LeftOut(f"openvino is not there ({error})") from error
    core = openvino.Core()
    hints = {"INFERENCE_NUM_THREADS": place.threads, "INFERENCE_PRECISION_HINT": "f32"}
    path = str(_file("onnx", model, place))
    compiled = core.compile_model(path, "CPU", hints)
    return lambda mix: np.array(compiled({"mix": mix})[0])


_EXPORTED: dict[str, Callable[[str, Any], Forward]] = {
    "litert": partial(_of_file, "tflite"),
    "onnx": partial(_of_file, "onnx"),
    "openvino": _of_openvino,
}
