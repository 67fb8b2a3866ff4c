"""Graphs for other runtimes: what a few layers have to compute otherwise while one is traced.

LiteRT and ONNX have no complex numbers, LiteRT's GPU delegates no tensors of more than four axes.
Layers keep to that wherever it costs nothing. Where it would, they ask here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_portable: ContextVar[bool] = ContextVar("demucs_tf_portable", default=False)


@contextmanager
def portable() -> Iterator[None]:
    """Trace graphs inside the block for other runtimes."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def is_portable() -> bool:
    """Tell whether the code runs inside `portable`."""
    return _portable.get()
