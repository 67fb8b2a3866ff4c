"""Silence for native libraries that print past Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*, unless: bool = False) -> Iterator[None]:
    """Keep native libraries from printing notes on stderr past Python.

    TensorFlow does when it is imported, whatever TF_CPP_MIN_LOG_LEVEL says, and libmpg123, with
    which libsndfile reads MP3, when a file is odd. What matters of it is an exception as well.
    """
    if unless or sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def mute_stdout() -> None:
    """Let nothing more be written to a pipe that nobody reads from."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
