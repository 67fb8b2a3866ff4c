"""How a model is run: eagerly, as a graph, compiled by XLA, or by its file's runtime; and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from demucs_tf.errors import CheckpointError
from demucs_tf.inference.graphs.bare import BareModel
from demucs_tf.inference.graphs.describe import description
from demucs_tf.inference.graphs.kept import kept
from demucs_tf.inference.graphs.precision import Weights, in_reach
from demucs_tf.inference.graphs.session import Graphs
from demucs_tf.inference.graphs.trace import eager, traced
from demucs_tf.utils.quiet import import_tensorflow
from demucs_tf.utils.runtime import import_runtime
from demucs_tf.utils.text import printable

Array = npt.NDArray[Any]


def forward_function(
    model: Any, engine: str = "auto", device: str | None = None, precision: str = "float32"
) -> Callable[..., Array]:
    """`model` as a function from arrays to an array.

    Args:
        model: see `demucs_tf.inference.single.Model`.
        engine: "graph": one graph for every length; "xla": the same compiled, which takes its time
            for each new length; "eager": operation by operation; "litert" and "onnx": the runtime
            of an exported file, which is all that runs it; "auto": that, or "graph".
        device: see `device_name`.
        precision: "bfloat16" works large products out in that, added up in float32, where the
            processor or GPU has it; elsewhere a warning says that float32 stays.

    A graph is traced once for all models that are as equal arguments made them, as the members of
    many bags are. A model that was changed since, by another layer, attribute or method in it or in
    its classes, gets a graph of its own. What is changed after this call is not heard.

    The function raises CheckpointError where the layers of a model of ours do not fit each other.
    """
    runtime = runtime_of(model)
    check_engine(engine, runtime, device, precision)
    if runtime is not None:
        run: Callable[..., Array] = model
        return run
    if not isinstance(model, BareModel):
        import_tensorflow()
    place, wrong = device_name(device), import_runtime().InvalidArgumentError
    precision = in_reach(checked_precision(precision, model), place)
    if isinstance(model, BareModel) and precision != "float32":
        model = model.built()  # its layers know what they multiply by
    function = (
        _placed(eager(model, precision), place)
        if engine == "eager"
        else _graph(model, engine == "xla", place, precision)
    )

    def forward(*inputs: Array) -> Array:
        try:
            return np.asarray(function(*inputs))
        except (ValueError, wrong) as error:
            if not hasattr(model, "config"):  # a stranger, whose errors are its own
                raise
            raise CheckpointError(
                f"the model fails on an input of {inputs[0].shape[-1]} samples, for which its "
                f"layers do not fit each other: {_reason(error)}. Choose another segment, or "
                "another checkpoint: its arguments, such as kernel_size, stride and nfft, do not "
                "go together."
            ) from error

    return forward


# Engines that run exported files, with what `demucs-tf export` makes such a file by.
RUNTIMES = {"litert": ("tflite", "model.tflite"), "onnx": ("onnx", "model.onnx")}


def runtime_of(model: Any) -> str | None:
    """The engine of an exported file; None: a model that TensorFlow runs."""
    runtime: str | None = getattr(model, "runtime", None)
    return runtime


def checked_precision(precision: str, model: Any) -> str:
    """`precision`; ValueError for one that a model of TensorFlow's can't be run in."""
    if precision != "float32" and not hasattr(model, "config"):
        raise ValueError(f"precision {precision} is for models of demucs_tf: leave it out.")
    if precision != "float32" and model.compute_dtype != "float32":
        raise ValueError(
            f"precision {precision} is for models in float32, and this one is in "
            f"{model.compute_dtype}: leave one of the two out."
        )
    return precision


def check_engine(
    engine: str, runtime: str | None, device: str | None = None, precision: str = "float32"
) -> None:
    """Refuse an engine that can't run a model.

    Args:
        engine: what is wanted.
        runtime: what runs the model: see `runtime_of`.
        device: where it is wanted.
        precision: of products, that is wanted.

    Raises:
        ValueError: it can't run there.
    """
    if runtime is None:
        if engine in RUNTIMES:
            kind, file = RUNTIMES[engine]
            raise ValueError(
                f"engine {engine} runs exported files, and this model is none: export it with "
                f"`demucs-tf export MODEL --format {kind} -o {file}`, and give {file}."
            )
        if engine == "xla" and precision != "float32":
            raise ValueError(
                f"engine xla has no precision {precision}: take engine graph, or leave one of the "
                "two out."
            )
        return
    if precision != "float32":
        raise ValueError(
            f"precision {precision}: engine {runtime} runs this file as it was exported. Leave the "
            "precision out, or give the checkpoint."
        )
    if engine not in ("auto", runtime):
        raise ValueError(
            f"engine {engine} can't run this file, which was exported for {runtime}: leave the "
            f"engine out, or give {_given_instead(engine)}."
        )
    if device is not None and device.lower().partition(":")[0] != "cpu":
        raise ValueError(f"device {device!r}: exported files run on the cpu here.")


def _given_instead(engine: str) -> str:
    return f"a {RUNTIMES[engine][1]}" if engine in RUNTIMES else "the checkpoint"


def _reason(error: Exception) -> str:
    """What TensorFlow says, without what it and Keras wrap around it on lines of their own."""
    bold = re.findall(r"\x1b\[1m(.*?)\x1b\[0m", str(error), re.DOTALL)
    return printable(re.sub(r"\{\{.*?\}\}\s*", "", (bold or [str(error)])[-1]).strip(), 200)


# Each graph lives as long as one of the models that use it; these keep it, and it keeps the model
# that it was traced of.
_graphs: WeakValueDictionary[Any, Any] = WeakValueDictionary()


def _graph(model: Any, jit: bool, place: str | None, precision: str) -> Callable[..., Any]:
    on_cpu = _on_cpu(place)
    here = on_cpu and not jit and hasattr(model, "config")
    join = on_cpu or jit
    if isinstance(model, BareModel) and not here:
        model = model.built()
    known: dict[Any, _Graph] = vars(model).setdefault("_graphs", {})
    parts: list[Any] = []
    bare = isinstance(model, BareModel)
    made_of = (model.config, model.compute_dtype) if bare else description(model, parts)
    folder = kept()
    key = (jit, here, join, folder, precision, made_of)
    graph = known.get(key) or _graphs.get(key)
    if graph is None:
        make = (
            Graphs(model, folder, precision)
            if here
            else traced(model, jit, None, precision, join=join)
        )
        graph = _Graph(make, parts)
    known[key] = _graphs[key] = graph
    weights = model.weights if bare else Weights(model, precision)
    if here:
        return partial(graph.function, weights)

    def run(*inputs: Any) -> Any:
        return graph.function(weights(), *inputs)

    return _placed(run, place)


def _placed(function: Callable[..., Any], place: str | None) -> Callable[..., Any]:
    """A function of tensors as one of arrays, which runs on a device."""
    tf = import_tensorflow()

    def run(*inputs: Array) -> Any:
        with tf.device(place):
            return function(*map(tf.convert_to_tensor, inputs))

    return run


@dataclass(eq=False)
class _Graph:
    function: Callable[..., Any]
    parts: list[Any]  # kept, so that nothing else gets the ids that the key has of them


def _on_cpu(place: str | None) -> bool:
    return place.startswith("CPU") if place else not import_runtime().list_logical_devices("GPU")


def device_name(name: str | None) -> str | None:
    """TensorFlow's name of a device.

    Args:
        name: "cpu", "gpu", "gpu:1", or "cuda" and "cuda:1" as the reference has it; None:
            TensorFlow's choice, which is the first GPU if there is one.

    Raises:
        ValueError: no such device here.
    """
    if name is None:
        return None
    kind, _, index = name.lower().replace("cuda", "gpu").partition(":")
    wanted = f"{kind.upper()}:{index or 0}"
    found = [d.name.partition("device:")[2] for d in import_runtime().list_logical_devices()]
    if wanted not in found:
        raise ValueError(f"device {name!r} is not there; TensorFlow has {', '.join(found)}.")
    return wanted
