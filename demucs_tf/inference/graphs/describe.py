"""What the graph of a model depends on besides the values of its weights."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

from demucs_tf.models.config import Config

_LIBRARIES = ("keras", "tensorflow", "builtins")


def description(model: Any, parts: list[Any]) -> tuple[Any, ...]:
    """What the graph of `model` depends on, to compare by.

    Args:
        model: any, of ours or not.
        parts: see `likeness`.
    """
    from demucs_tf.models.base import Model

    return (None if isinstance(model, Model) else id(model), *likeness(model, parts))


def likeness(layer: Any, parts: list[Any]) -> tuple[Any, ...]:
    """What is equal for two layers if they do the same with inputs and weights of the same shapes.

    Plain data are themselves, layers and weights are where they are, and all else, such as code, is
    an id; what has it goes into `parts`, to be kept for as long as the ids are.
    """
    from demucs_tf.layers.base import Layer, named_layers

    of_keras = _of_keras()
    layers = list(named_layers(layer))
    paths = {id(layer): path for path, layer in layers}
    places = {id(each): place for place, each in enumerate(getattr(layer, "variables", []))}

    def of(value: Any) -> Any:
        if value is None or isinstance(value, str | int | float | Fraction | Config):
            return value
        if isinstance(value, list | tuple):
            return tuple(map(of, value))
        if id(value) in paths:
            return "layer", paths[id(value)]
        if id(value) in places:
            return "weight", places[id(value)], tuple(value.shape), str(value.dtype)
        if isinstance(value, Layer):  # without a path, as the reference has no module there
            return "layer", likeness(value, parts)
        parts.append(value)
        return id(value)

    def attributes(layer: Any) -> Any:
        for name, value in vars(layer).items():
            if name not in of_keras and (callable(value) or not name.startswith("_")):
                yield name, of(value)

    kinds = dict.fromkeys(base for _, layer in layers for base in type(layer).__mro__)
    ours = [kind for kind in kinds if kind.__module__.partition(".")[0] not in _LIBRARIES]
    return (
        tuple((path, type(layer), *attributes(layer)) for path, layer in layers),
        tuple(of(value) for kind in ours for value in vars(kind).values()),
    )


@cache
def _of_keras() -> set[str]:
    """Attributes that Keras itself gives to its layers and models."""
    import keras

    return {*vars(keras.layers.Layer()), *vars(keras.Model())}
