"""How the C library keeps memory that was given back to it."""

from __future__ import annotations

from contextlib import suppress
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
