"""How a model is run: eagerly, as a graph, or compiled by XLA; and on which device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ENGINES = ("auto", "graph", "xla", "eager")


def forward_function(
    model: Any, engine: str = "auto", device: str | None = None
) -> Callable[..., Array]:
    """`model` as a function from arrays to an array.

    Args:
        model: see `demucs_tf.inference.single.Model`.
        engine: "graph": one graph for every length; "xla": the same compiled, which takes its time
            for each new length; "eager": operation by operation; "auto": "graph".
        device: see `device_name`.

    A graph is traced once and kept with the model, for as long as its `segment` stays.
    """
    import tensorflow as tf

    place = device_name(device)
    kind = "graph" if engine == "auto" else engine
    traced: dict[Any, Any] = vars(model).setdefault("_forward_functions", {})
    if (kind, model.segment) not in traced:
        traced[kind, model.segment] = model if kind == "eager" else _traced(model, kind == "xla")
    function = traced[kind, model.segment]

    def forward(*inputs: Array) -> Array:
        with tf.device(place):
            return np.asarray(function(*map(tf.convert_to_tensor, inputs)))

    return forward


def _traced(model: Any, jit: bool) -> Any:
    import tensorflow as tf

    signature = [tf.TensorSpec([None, model.audio_channels, None], model.compute_dtype)]
    if hasattr(model, "draw_shift"):
        signature.append(tf.TensorSpec([None], tf.int32))
    # No function of ours: TensorFlow would count the traces of all models as those of one function,
    # and warn of too many.
    return tf.function(partial(model), input_signature=signature, jit_compile=jit)


def device_name(name: str | None) -> str | None:
    """TensorFlow's name of a device.

    Args:
        name: "cpu", "gpu", "gpu:1", or "cuda" and "cuda:1" as the reference has it; None:
            TensorFlow's choice, which is the first GPU if there is one.

    Raises:
        ValueError: no such device here.
    """
    import tensorflow as tf

    if name is None:
        return None
    kind, _, index = name.lower().replace("cuda", "gpu").partition(":")
    wanted = f"{kind.upper()}:{index or 0}"
    found = [d.name.partition("device:")[2] for d in tf.config.list_logical_devices()]
    if wanted not in found:
        raise ValueError(f"device {name!r} is not there; TensorFlow has {', '.join(found)}.")
    return wanted
