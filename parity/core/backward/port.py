"""Runs the port's backward pass, on the inputs and cotangents that the reference had."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core import layouts
from parity.core.backward.gradients import Backward, Name, Pulled, cotangents
from parity.core.capture import port, recorders
from parity.core.capture.progress import counted, say
from parity.core.events import Event, Key
from parity.core.result import ParityError
from parity.core.seeding import seeded_random
from parity.core.subject import Subject

Array = npt.NDArray[Any]
Found = dict[Name, Array | None]
Part = Callable[[Array], Array]


def variables_of(subject: Subject, model: Any) -> Mapping[str, tuple[Any, Part]]:
    """The variables under the keys of the state; ParityError if the subject does not say."""
    if subject.variables is None:
        raise ParityError(
            "The subject does not say which variable a weight is: give `variables` to compare "
            "gradients."
        )
    return subject.variables(model)


def isolated(subject: Subject, model: Any, backward: Backward) -> dict[Key, Found]:
    """Pull every layer and every step back by itself: gradients in the reference's layout."""
    events = {event.key: event for event in backward.forward.events}
    pulled = {each.key: each for each in backward.calls}
    variables, dtype = variables_of(subject, model), model.compute_dtype
    layers = port.layers_by_path(subject, model)
    pull = partial(_pull, subject, variables, dtype)
    forced = {e.key: partial(port.tensors_of, subject, e, dtype) for e in backward.forward.events}
    puller = _Puller(layers, forced, events, pulled, pull)
    say(f"port: gradients of steps in {dtype}")
    with port.observed(subject, model, puller), seeded_random():
        port.run(model, port.tensors_of(subject, backward.forward.root, dtype))
    found = puller.found
    for call in counted(backward.calls, f"port: pulled back in {dtype}, call"):
        event = events[call.key]
        if event.kind == "module" and event.path in layers:
            function = partial(port.call_tensors, layers[event.path], event)
            tensors = port.tensors_of(subject, event, dtype)
            found[call.key] = pull(event, call, function, tensors)
    return found


def whole(subject: Subject, model: Any, backward: Backward, engine: port.Engine) -> Found:
    """The gradients of the model by its inputs and by all of its weights."""
    import tensorflow as tf

    event, dtype = backward.forward.root, model.compute_dtype
    variables = variables_of(subject, model)

    def outputs(*tensors: Any) -> list[Any]:
        with seeded_random():
            return recorders.tensors_in(port.run(model, tensors))

    say(f"port: gradients of the model in {dtype}")
    tensors = port.tensors_of(subject, event, dtype)
    compiled: Any = None
    if engine != "eager":
        compiled = partial(tf.function, jit_compile=engine == "xla", autograph=False)
    return _pull(subject, variables, dtype, event, backward.whole, outputs, tensors, compiled)


class _Puller(recorders.Forcer):
    """Feeds every step with the reference's own input, and pulls it back."""

    def __init__(
        self,
        layers: Mapping[str, Any],
        forced: Mapping[Key, Callable[[], tuple[Any, ...]]],
        events: Mapping[Key, Event],
        pulled: Mapping[Key, Pulled],
        pull: Callable[..., Found],
    ) -> None:
        super().__init__(layers, forced)
        self.found: dict[Key, Found] = {}
        self._events = events
        self._pulled = pulled
        self._pull = pull

    def note(self, key: Key, output: Any) -> None:
        """Keep nothing of the forward pass."""

    def step(
        self, layer: Any, name: str, function: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        """Run a step, and note its gradients."""
        key = self.key(f"{self.path(layer)}:{name}")
        inputs = self.replace(key, layer, name, inputs)
        if key not in self._pulled:
            return function(*inputs)
        output: list[Any] = []

        def once(*tensors: Any) -> list[Any]:
            output.append(function(*tensors))
            return recorders.tensors_in(output[0])

        self.found[key] = self._pull(self._events[key], self._pulled[key], once, inputs)
        return output[0]


def _pull(
    subject: Subject,
    variables: Mapping[str, tuple[Any, Part]],
    dtype: str,
    event: Event,
    pulled: Pulled,
    function: Callable[..., Sequence[Any]],
    tensors: tuple[Any, ...],
    compiled: Callable[..., Any] | None = None,
) -> Found:
    """The gradients that `pulled` has of the reference, of `function(*tensors)`."""
    import tensorflow as tf

    declared_inputs, declared_outputs = subject.layouts_of(event)
    drawn = cotangents(event)
    weights = [key for key in pulled.weights if key in variables]
    places = [index for index, each in enumerate(pulled.inputs) if each is not None]

    def gradients(*tensors: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch([tensors[index] for index in places])
            outputs = function(*tensors)
        if len(outputs) != len(drawn):
            raise ParityError(
                f"{event.path or 'the model'}: the reference returns {len(drawn)} tensors, the "
                f"port {len(outputs)}."
            )
        pairs = [
            (output, tf.constant(layouts.to_port(cotangent, layout), output.dtype))
            for output, cotangent, layout in zip(outputs, drawn, declared_outputs, strict=True)
            if cotangent is not None and output.dtype.is_floating
        ]
        sources = [*(tensors[index] for index in places), *(_value(variables[k]) for k in weights)]
        found = tape.gradient(
            [output for output, _ in pairs],
            sources,
            [cotangent for _, cotangent in pairs],
        )
        return [None if each is None else tf.convert_to_tensor(each) for each in found]

    found = (gradients if compiled is None else compiled(gradients))(*tensors)
    arrays = [None if each is None else np.asarray(each) for each in found]
    result: Found = {}
    for index, array in zip(places, arrays, strict=False):
        layout = declared_inputs[index]
        result[index] = None if array is None else layouts.to_reference(array, layout)
    for key, array in zip(weights, arrays[len(places) :], strict=True):
        part = variables[key][1]
        result[key] = None if array is None else np.ascontiguousarray(part(array))
    return result


def _value(pair: tuple[Any, Part]) -> Any:
    """The tensor under a Keras variable, which a tape watches."""
    return getattr(pair[0], "value", pair[0])
