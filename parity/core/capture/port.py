"""Runs the port and captures the same calls under the same names as `reference.py`."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from parity.core import layouts
from parity.core.events import TENSOR, Event, Key
from parity.core.result import ParityError
from parity.core.seeding import seeded_random
from parity.demucs.taps import BY_NAME

Array = npt.NDArray[Any]
Engine = Literal["eager", "graph", "xla"]
Outputs = dict[Key, list[Array]]


class Recorder:
    """An observer that notes what every layer and every step returns, and changes nothing."""

    def __init__(self, port: Any) -> None:
        self.outputs: dict[Key, list[Any]] = {}
        self._paths = paths_of(port)
        self._calls: Counter[str] = Counter()

    def call(self, layer: Any, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        """See demucs_tf.layers.observe.Observer."""
        output = function(*inputs)
        self.note(self.key(self._paths[id(layer)]), output)
        return output

    def step(
        self, layer: Any, name: str, function: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        """See demucs_tf.layers.observe.Observer."""
        key = self.key(f"{self._paths[id(layer)]}:{name}")
        output = function(*self.replace(key, layer, name, inputs))
        self.note(key, output)
        return output

    def key(self, path: str) -> Key:
        """Path and index of the next call at `path`."""
        call = self._calls[path]
        self._calls[path] += 1
        return path, call

    def note(self, key: Key, output: Any) -> None:
        """Keep an output, leaf by leaf."""
        self.outputs[key] = _tensors(output)

    def replace(self, key: Key, layer: Any, name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a step is fed with: here, what it was given."""
        return inputs


class Forcer(Recorder):
    """A recorder that feeds every step with the reference's own input."""

    def __init__(self, port: Any, expected: Mapping[Key, Event]) -> None:
        super().__init__(port)
        self._expected = expected
        self._dtype = port.compute_dtype

    def replace(self, key: Key, layer: Any, name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The reference's inputs of this step, in the port's layout and type."""
        event = self._expected.get(key)
        if event is None:
            return inputs  # reported as a call that the reference does not have
        if len(event.inputs) != len(inputs):
            raise ParityError(
                f"{key[0]}: the reference's step has {len(event.inputs)} input tensors, the "
                f"port's has {len(inputs)}: make `step` in {type(layer).__name__} take the same."
            )
        return tensors_of(event, self._dtype)


def cumulative(port: Any, mix: Array, engine: Engine = "eager") -> Outputs:
    """One real pass: every output, in the port's layout."""
    import tensorflow as tf

    from demucs_tf.layers.observe import observe

    def forward(tensor: Any) -> dict[str, list[Any]]:
        recorder = Recorder(port)
        with observe(recorder), seeded_random():
            port(tensor)
        # A tf.function's results need strings for keys.
        return {f"{path}#{call}": tensors for (path, call), tensors in recorder.outputs.items()}

    if engine != "eager":
        forward = tf.function(forward, jit_compile=engine == "xla", autograph=False)
    outputs: Outputs = {}
    for name, tensors in forward(tf.constant(mix.astype(port.compute_dtype))).items():
        path, _, call = name.rpartition("#")
        outputs[path, int(call)] = [np.asarray(tensor) for tensor in tensors]
    return outputs


def isolated(port: Any, events: list[Event], mix: Array) -> Outputs:
    """Feed every layer and every step with the reference's own input, and note the output.

    Steps are fed during a pass of the whole model; layers are called one by one.
    """
    import tensorflow as tf

    from demucs_tf.layers.observe import observe

    forcer = Forcer(port, {event.key: event for event in events})
    with observe(forcer), seeded_random():
        port(tf.constant(mix.astype(port.compute_dtype)))
    outputs = {key: [np.asarray(t) for t in tensors] for key, tensors in forcer.outputs.items()}
    layers = layers_by_path(port)
    for event in events:
        if event.kind == "module":
            called = outputs.pop(event.key, None) is not None
            if called and event.path in layers:
                outputs[event.key] = call_layer(layers[event.path], event, port.compute_dtype)
    return outputs


def call_layer(layer: Any, event: Event, dtype: str) -> list[Array]:
    """One layer on the reference's input of one call."""
    tensors = tensors_of(event, dtype)
    names = list(inspect.signature(layer.call).parameters)
    # Keras takes nothing but tensors by position.
    numbers = {
        name: value
        for name, value in zip(names, event.arguments or (), strict=False)
        if value is not None and value != TENSOR
    }
    with seeded_random():
        return [np.asarray(tensor) for tensor in _tensors(layer(*tensors, **numbers))]


def _tensors(output: Any) -> list[Any]:
    """The tensors that a layer returned; a place may be empty."""
    leaves = output if isinstance(output, (tuple, list)) else [output]
    return [leaf for leaf in leaves if leaf is not None]


def tensors_of(event: Event, dtype: str) -> tuple[Any, ...]:
    """The inputs of a call in the port's layout and type; whole numbers stay what they are."""
    import tensorflow as tf

    declared, _ = layouts_of(event)
    arrays = [
        layouts.to_port(array, layouts.of_tensor(declared, index, array))
        for index, array in enumerate(event.inputs)
    ]
    return tuple(
        tf.constant(array, dtype if np.issubdtype(array.dtype, np.floating) else None)
        for array in arrays
    )


def layouts_of(event: Event) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The layouts of a call's inputs and outputs."""
    if event.kind == "module":
        return layouts.of_module(event.owner, event.path)
    tap = BY_NAME[event.owner, event.path.rpartition(":")[2]]
    return tap.inputs, (tap.output,)


def layers_by_path(port: Any) -> dict[str, Any]:
    """The port's layers under the reference's module paths."""
    from demucs_tf.layers.base import named_layers

    return dict(named_layers(port))


def paths_of(port: Any) -> dict[int, str]:
    """The reference's module path of every layer, by the layer's id."""
    return {id(layer): path for path, layer in layers_by_path(port).items()}
