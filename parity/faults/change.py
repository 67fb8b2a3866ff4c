"""What several faults do to the code that they replace."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import Observable

Function = Callable[..., Any]
_step = Observable.step


def with_attributes(method: Function, **attributes: Any) -> Function:
    """`method`, with some attributes of its object set before each call."""

    @wraps(method)  # Keras reads the signature
    def changed(self: Any, *arguments: Any, **options: Any) -> Any:
        for name, value in attributes.items():
            object.__setattr__(self, name, value)
        return method(self, *arguments, **options)

    return changed


def in_step(name: str) -> Callable[[Function], Function]:
    """Make of a function a method `step` that runs it for the steps `name`, and no other."""

    def method(wrong: Function) -> Function:
        def step(self: Any, step_name: str, function: Function, *inputs: Any) -> Any:
            return _step(self, step_name, wrong if step_name == name else function, *inputs)

        return step

    return method


def without_step(name: str) -> Function:
    """Make a method `step` that gives the first input of the steps `name` back as it is."""
    return in_step(name)(lambda first, *_: first)


def no_shift(self: Any, generator: Any = None) -> int:
    """Leave out the random shift of positions."""
    return 0


def swapped_glu(x: Any) -> Any:
    """Take the first half as the gate."""
    gate, value = tf.split(x, 2, axis=-1)
    return value * tf.sigmoid(gate)


def tanh_gelu(x: Any) -> Any:
    """Approximate GELU by a tanh."""
    return tf.nn.gelu(x, approximate=True)


def inside_root(x: Any, mean: Any, std: Any) -> Any:
    """Normalize with the epsilon under the root, not beside it."""
    return (x - mean) / tf.sqrt(std**2 + 1e-5)
