"""Watches Keras layers that know nothing of the harness: their `call` is wrapped for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any

from parity.core.subject import Observer


@contextmanager
def wrapped(layers: Mapping[str, Any], observer: Observer) -> Iterator[None]:
    """Send every call of these layers to `observer`; afterwards they are as they were.

    A layer under "path:name" counts as the step `name` of the layer under `path`.
    """
    with ExitStack() as stack:
        for path, layer in layers.items():
            owner, _, name = path.partition(":")
            seen = partial(observer.step, layers[owner], name) if name else None
            stack.enter_context(_wrapped(layer, seen or partial(observer.call, layer)))
        yield


@contextmanager
def _wrapped(layer: Any, seen: Callable[..., Any]) -> Iterator[None]:
    """One layer. Keras would track what is set as an attribute, so it is put past Keras."""
    import keras

    call = layer.call

    @wraps(call)
    def watched(*args: Any, **kwargs: Any) -> Any:
        def run(*leaves: Any) -> Any:
            return call(*keras.tree.pack_sequence_as(args, leaves), **kwargs)

        return seen(run, tuple(keras.tree.flatten(args)))  # merging layers take a list

    own = vars(layer)
    before = {"call": own["call"]} if "call" in own else {}
    own["call"] = watched
    try:
        yield
    finally:
        own.pop("call")
        own.update(before)
