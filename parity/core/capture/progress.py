"""Lets long work say what it is at, to whoever wants to hear it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import TypeVar

from demucs_tf.utils.context import during

Item = TypeVar("Item")
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("parity_progress", default=None)


def heard_by(listener: Callable[[str], None]) -> AbstractContextManager[None]:
    """Send what is said inside the block to `listener`."""
    return during(_listener, listener)


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
