"""Settings that hold inside a `with` block, in the thread or task that entered it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Value = TypeVar("Value")


@contextmanager
def during(variable: ContextVar[Value], value: Value) -> Iterator[None]:
    """Let a variable have a value inside the block, and then what it had before."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
