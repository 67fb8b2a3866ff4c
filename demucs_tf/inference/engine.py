"""How a model is run: eagerly, as a graph, or compiled by XLA; and on which device."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from demucs_tf.utils.quiet import import_tensorflow

Array = npt.NDArray[Any]


def forward_function(
    model: Any, engine: str = "auto", device: str | None = None
) -> Callable[..., Array]:
    """`model` as a function from arrays to an array.

    Args:
        model: see `demucs_tf.inference.single.Model`.
        engine: "graph": one graph for every length; "xla": the same compiled, which takes its time
            for each new length; "eager": operation by operation; "auto": "graph".
        device: see `device_name`.

    A graph is traced once for all models that are there with the same arguments, as the members of
    many bags are.
    """
    tf = import_tensorflow()
    place = device_name(device)
    function = model if engine == "eager" else _graph(model, engine == "xla")

    def forward(*inputs: Array) -> Array:
        with tf.device(place):
            return np.asarray(function(*map(tf.convert_to_tensor, inputs)))

    return forward


# Each graph lives as long as one of the models that use it; these keep it, and it keeps the model
# that it was traced of.
_graphs: WeakValueDictionary[Any, Any] = WeakValueDictionary()


def _graph(model: Any, jit: bool) -> Callable[..., Any]:
    kept: dict[Any, Any] = vars(model).setdefault("_graphs", {})
    key = (type(model), jit, _arguments(model))
    graph = kept.get(key) or _graphs.get(key) or _traced(model, jit)
    kept[key] = _graphs[key] = graph
    variables = getattr(model, "variables", [])
    return lambda *inputs: graph([variable.value for variable in variables], *inputs)


def _arguments(model: Any) -> str:
    """What decides about the graph of `model`; of a model that is not ours only `model` itself."""
    from demucs_tf.models.base import Model

    if isinstance(model, Model):
        return json.dumps({**model.get_config(), "name": ""}, default=str)
    return f"{id(model)} {model.segment}"


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
