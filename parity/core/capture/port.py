"""Runs the port and captures the same calls under the same names as `reference.py`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from parity.core import layouts
from parity.core.capture.breaking import breaking
from parity.core.capture.progress import counted, say
from parity.core.capture.recorders import (
    LeafTeller,
    Recorder,
    Take,
    Teller,
    arrays,
    tensors_in,
)
from parity.core.capture.wrapping import wrapped
from parity.core.events import TENSOR, Event, Expected, Key
from parity.core.seeding import seeded_random
from parity.core.subject import Observer, Subject

Array = npt.NDArray[Any]
Engine = Literal["eager", "graph", "xla"]
Outputs = dict[Key, list[Array]]


def build(subject: Subject, port: Any, expected: Expected) -> None:
    """Run a port that nobody has called yet: Keras builds it by calls without numbers."""
    if not getattr(port, "built", True):
        with breaking(lambda: expected.root.key):
            run(port, tensors_of(subject, expected.root, port.compute_dtype))


def cumulative(
    subject: Subject,
    port: Any,
    expected: Expected,
    engine: Engine = "eager",
    make_recorder: Callable[[Mapping[str, Any]], Recorder] = Recorder,
    take: Take | None = None,
) -> Outputs:
    """One real pass: every output, in the port's layout.

    With `take` each is told as it comes, or as a graph has ended, and none is returned.
    """
    import tensorflow as tf

    if take is not None and engine == "eager":
        make_recorder = partial(Teller, take=take)

    layers = layers_by_path(subject, port)

    def forward(*tensors: Any) -> dict[str, list[Any]]:
        recorder = make_recorder(layers)
        with (
            breaking(lambda: recorder.broken or expected.root.key),
            observed(subject, port, recorder),
            seeded_random(),
        ):
            run(port, tensors)
        # A tf.function's results need strings for keys.
        return {f"{path}#{call}": tensors for (path, call), tensors in recorder.outputs.items()}

    if engine != "eager":
        forward = tf.function(forward, jit_compile=engine == "xla", autograph=False)
    outputs: Outputs = {}
    say(f"port: pass in {port.compute_dtype}")
    with breaking(lambda: expected.root.key):
        found = forward(*tensors_of(subject, expected.root, port.compute_dtype))
    for name, tensors in found.items():
        path, _, call = name.rpartition("#")
        outputs[path, int(call)] = arrays(tensors)
    if take is not None:
        for key in list(outputs):
            take(key, outputs.pop(key))
    return outputs


def isolated(
    subject: Subject,
    port: Any,
    expected: Expected,
    take: Take,
    model: bool = True,
    enough: Callable[[Event], bool] | None = None,
) -> None:
    """Feed every layer and every step with the reference's own input, and tell what it gives.

    Steps and leaf layers are fed during a pass of the whole model; layers in which others are
    called are called one by one, up to the first of which `enough` is true. So is the model itself,
    unless `model` is False.
    """
    layers, dtype = layers_by_path(subject, port), port.compute_dtype
    forced = {e.key: partial(tensors_of, subject, e, dtype) for e in expected.events}
    forcer = LeafTeller(layers, forced, _leaves(expected), take)
    say(f"port: steps and leaves in {dtype}")
    with (
        breaking(lambda: forcer.broken or expected.root.key),
        observed(subject, port, forcer),
        seeded_random(),
    ):
        run(port, tensors_of(subject, expected.root, dtype))
    called = forcer.outputs
    for event in counted(expected.events, f"port: alone in {dtype}, call"):
        if enough is not None and enough(event):
            return
        was_called = event.kind == "module" and called.pop(event.key, None) is not None
        done = event.key in forcer.told or (event is expected.root and not model)
        if was_called and event.path in layers and not done:
            take(event.key, call_layer(subject, layers[event.path], event, dtype))
    for key in called:  # those that the reference does not have
        take(key, [])


def _leaves(expected: Expected) -> set[str]:
    """The layers that call no other, have no steps, and take tensors alone."""
    more = {event.path.rpartition(":")[0] for event in expected.events if event.kind == "tap"}
    more |= {event.path for event in expected.events if event.arguments is not None}
    return {*expected.leaves} - more - {""}


def call_layer(subject: Subject, layer: Any, event: Event, dtype: str) -> list[Array]:
    """One layer on the reference's input of one call."""
    tensors = tensors_of(subject, event, dtype)
    with breaking(lambda: event.key):
        return arrays(call_tensors(layer, event, *tensors))


def call_tensors(layer: Any, event: Event, *tensors: Any) -> list[Any]:
    """One layer on tensors that stand for the inputs of one call."""
    names = list(inspect.signature(layer.call).parameters)
    # Keras takes nothing but tensors by position.
    numbers = {
        name: value
        for name, value in zip(names, event.arguments or (), strict=False)
        if value is not None and value != TENSOR
    }
    with seeded_random():
        return tensors_in(run(layer, tensors, **numbers))


def run(layer: Any, tensors: tuple[Any, ...], **numbers: Any) -> Any:
    """Call a layer; a functional model of several inputs takes them as one list."""
    if len(getattr(layer, "inputs", None) or ()) > 1:
        return layer(list(tensors), **numbers)
    return layer(*tensors, **numbers)


def tensors_of(subject: Subject, event: Event, dtype: str) -> tuple[Any, ...]:
    """The inputs of a call in the port's layout and type; whole numbers stay what they are."""
    import tensorflow as tf

    declared, _ = subject.layouts_of(event)
    return tuple(
        tf.constant(array, dtype if np.issubdtype(array.dtype, np.floating) else None)
        for array in map(layouts.to_port, event.inputs, declared)
    )


def layers_by_path(subject: Subject, port: Any) -> dict[str, Any]:
    """The port and its layers under the reference's module paths."""
    return {"": port, **subject.layers(port)}


def observed(subject: Subject, port: Any, observer: Observer) -> AbstractContextManager[None]:
    """Send every call and step of the port inside the block to `observer`."""
    if subject.observe is None:
        return wrapped(layers_by_path(subject, port), observer)
    return subject.observe(port, observer)
