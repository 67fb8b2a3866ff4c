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
    """Search nothing that there is for garbage any more.

    For a process of ours: after an import of TensorFlow, and before it ends, when its memory goes
    at once. Python would go through all objects once more, which takes most of a second.
    """
    gc.freeze()
