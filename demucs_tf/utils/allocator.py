"""How the C library keeps memory that was given back to it."""

from __future__ import annotations

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # malloc.h
_LARGE = 4 << 20


def give_back_memory() -> None:
    """Let large blocks go back to the system at once, and threads share what is left of small ones.

    For a process whose memory is ours to decide on, before it has threads. With another C library
    than glibc nothing happens.
    """
    import ctypes
    from contextlib import suppress

    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_ARENA_MAX, 1)
