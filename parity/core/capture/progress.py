"""Lets long work say what it is at, to whoever wants to hear it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("parity_progress", default=None)


@contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """Send what is said inside the block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def say(text: str) -> None:
    """Say what begins now."""
    listener = _listener.get()
    if listener is not None:
        listener(text)


def counted(items: Sequence[Item], what: str) -> Iterator[Item]:
    """Yield `items` and say of each which it is: `what 3 of 7`."""
    for number, item in enumerate(items, 1):
        say(f"{what} {number} of {len(items)}")
        yield item
