"""Lets the parity harness see each layer and each functional step of a forward pass.

Without an observer, which is always the case outside the harness, `Observable` adds one
context lookup to a call and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol


class Observer(Protocol):
    """What the harness implements."""

    def call(self, layer: Any, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        """Run a layer's `function(*inputs)` and return what the pass goes on with."""

    def step(
        self, layer: Any, name: str, function: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        """The same for one named functional step inside `layer`."""


_observer: ContextVar[Observer | None] = ContextVar("demucs_tf_observer", default=None)


@contextmanager
def observe(observer: Observer | None) -> Iterator[None]:
    """Send every layer call and step inside the block to `observer` (None: to nobody)."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


class Observable:
    """Mixin in front of a Keras class: its calls and named steps can be observed."""

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        """What Keras does, seen by the observer if there is one."""
        run = super().__call__  # type: ignore[misc]
        observer = _observer.get()
        if observer is None:
            return run(*inputs, **kwargs)
        return observer.call(self, lambda *tensors: run(*tensors, **kwargs), inputs)

    def step(self, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        """Run `function(*inputs)`, a step that the reference does without a module.

        `name` is the tap's in `parity/demucs/taps_*.py`; `inputs` are the tensors that the step
        depends on, in the order in which the reference first uses them.
        """
        observer = _observer.get()
        if observer is None:
            return function(*inputs)
        return observer.step(self, name, function, inputs)
