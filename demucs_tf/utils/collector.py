"""Python's garbage collector, held back where it would only look on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
    """Search nothing for garbage any more: for a process that ends, whose memory goes at once.

    Python goes through all objects again before it ends, which takes it most of a second after an
    import of TensorFlow.
    """
    gc.freeze()
