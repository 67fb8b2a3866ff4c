"""Memory that was given back to the C library, and Python's search for what could be."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # malloc.h
_LARGE = 4 << 20


def give_back_memory() -> None:
    """Let large blocks go back to the system at once, and threads share what is left of small ones.

    For a process whose memory is ours to decide on, before it has threads. With another C library
    than glibc nothing happens.
    """
    with suppress(OSError, AttributeError, TypeError):
        mallopt = _c_library().mallopt
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_ARENA_MAX, 1)


def give_back_now() -> None:
    """Let small blocks that are free go back as well: after much was read, and before much is run.

    With another C library than glibc nothing happens.
    """
    with suppress(OSError, AttributeError, TypeError):
        _c_library().malloc_trim(0)


def _c_library() -> Any:
    import ctypes

    return ctypes.CDLL(None)


@contextmanager
def without_collector() -> Iterator[None]:
    """Let nothing be searched for garbage inside the block, whichever thread runs.

    Imports and traces make hundreds of thousands of objects that stay, and the collector goes
    through them time and again. What is garbage is found after the block.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def leave_all() -> None:
    """Search nothing that there is for garbage any more.

    For a process of ours: after an import of TensorFlow, and before it ends, when its memory goes
    at once. Python would go through all objects once more, which takes most of a second.
    """
    gc.freeze()
