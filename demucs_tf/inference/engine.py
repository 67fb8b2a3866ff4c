"""How a model is run: eagerly, as a graph, compiled by XLA, or by its file's runtime; and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from demucs_tf.errors import CheckpointError
from demucs_tf.models.config import Config
from demucs_tf.utils.quiet import import_tensorflow
from demucs_tf.utils.text import printable

Array = npt.NDArray[Any]


def forward_function(
    model: Any, engine: str = "auto", device: str | None = None
) -> Callable[..., Array]:
    """`model` as a function from arrays to an array.

    Args:
        model: see `demucs_tf.inference.single.Model`.
        engine: "graph": one graph for every length; "xla": the same compiled, which takes its time
            for each new length; "eager": operation by operation; "litert" and "onnx": the runtime
            of an exported file, which is all that runs it; "auto": that, or "graph".
        device: see `device_name`.

    A graph is traced once for all models that are as equal arguments made them, as the members of
    many bags are. A model that was changed since, by another layer, attribute or method in it or in
    its classes, gets a graph of its own. What is changed after this call is not heard.

    The function raises CheckpointError where the layers of a model of ours do not fit each other.
    """
    runtime = runtime_of(model)
    check_engine(engine, runtime, device)
    if runtime is not None:
        run: Callable[..., Array] = model
        return run
    tf = import_tensorflow()
    place = device_name(device)
    function = model if engine == "eager" else _graph(model, engine == "xla")

    def forward(*inputs: Array) -> Array:
        try:
            with tf.device(place):
                return np.asarray(function(*map(tf.convert_to_tensor, inputs)))
        except (ValueError, tf.errors.InvalidArgumentError) as error:
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


def check_engine(engine: str, runtime: str | None, device: str | None = None) -> None:
    """Refuse an engine that can't run a model.

    Args:
        engine: what is wanted.
        runtime: what runs the model: see `runtime_of`.
        device: where it is wanted.

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
        return
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


def _graph(model: Any, jit: bool) -> Callable[..., Any]:
    kept: dict[Any, _Graph] = vars(model).setdefault("_graphs", {})
    parts: list[Any] = []
    key = (jit, _description(model, parts))
    graph = kept.get(key) or _graphs.get(key) or _Graph(_traced(model, jit), parts)
    kept[key] = _graphs[key] = graph
    variables = getattr(model, "variables", [])
    return lambda *inputs: graph.function([variable.value for variable in variables], *inputs)


@dataclass(eq=False)
class _Graph:
    function: Callable[..., Any]
    parts: list[Any]  # kept, so that nothing else gets the ids that the key has of them


def _description(model: Any, parts: list[Any]) -> tuple[Any, ...]:
    """What the graph of `model` depends on besides the values of its weights, to compare by.

    Plain data are themselves, layers and weights are where they are, and all else, such as code, is
    an id; what has it goes into `parts`.
    """
    from demucs_tf.layers.base import named_layers
    from demucs_tf.models.base import Model

    of_keras = _of_keras()
    layers = list(named_layers(model))
    paths = {id(layer): path for path, layer in layers}
    places = {id(each): place for place, each in enumerate(getattr(model, "variables", []))}

    def of(value: Any) -> Any:
        if value is None or isinstance(value, str | int | float | Fraction | Config):
            return value
        if isinstance(value, list | tuple):
            return tuple(map(of, value))
        if id(value) in paths:
            return "layer", paths[id(value)]
        if id(value) in places:
            return "weight", places[id(value)], tuple(value.shape), str(value.dtype)
        parts.append(value)
        return id(value)

    def attributes(layer: Any) -> Any:
        for name, value in vars(layer).items():
            if name not in of_keras and (callable(value) or not name.startswith("_")):
                yield name, of(value)

    kinds = dict.fromkeys(base for _, layer in layers for base in type(layer).__mro__)
    ours = [kind for kind in kinds if kind.__module__.partition(".")[0] not in _LIBRARIES]
    return (
        of(None if isinstance(model, Model) else id(model)),
        tuple((path, type(layer), *attributes(layer)) for path, layer in layers),
        tuple(of(value) for kind in ours for value in vars(kind).values()),
    )


_LIBRARIES = ("keras", "tensorflow", "builtins")


@cache
def _of_keras() -> set[str]:
    """Attributes that Keras itself gives to its layers and models."""
    import keras

    return {*vars(keras.layers.Layer()), *vars(keras.Model())}


def _traced(model: Any, jit: bool) -> Any:
    """A `tf.function` of the weights' values and the inputs, so that it fits any weights."""
    tf = import_tensorflow()
    import keras

    variables = getattr(model, "variables", [])

    def call(values: list[Any], *inputs: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return model(*inputs)

    weights = [tf.TensorSpec(variable.shape, variable.dtype) for variable in variables]
    signature = [weights, tf.TensorSpec([None, model.audio_channels, None], model.compute_dtype)]
    if hasattr(model, "draw_shift"):
        signature.append(tf.TensorSpec([None], tf.int32))
    # No function of ours: TensorFlow would count the traces of all models as those of one function,
    # and warn of too many.
    return tf.function(partial(call), input_signature=signature, jit_compile=jit)


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
    tf = import_tensorflow()
    found = [d.name.partition("device:")[2] for d in tf.config.list_logical_devices()]
    if wanted not in found:
        raise ValueError(f"device {name!r} is not there; TensorFlow has {', '.join(found)}.")
    return wanted
