"""A `.tflite` file as a function, by LiteRT."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from demucs_tf.export.metadata import Metadata
from demucs_tf.runtimes.model import Array
from demucs_tf.utils.quiet import quiet


class LiteRT:
    """The signatures of a file: one of a fixed length and, if it has that, one of any.

    An interpreter works on one input at a time, so each thread that needs one at the same time as
    another gets its own. They are kept: for htdemucs each takes 0.8 GB and half a second to make.

    Args:
        path: of the file.
        metadata: what it says of itself.
        threads: that one interpreter works with.
    """

    def __init__(self, path: Path, metadata: Metadata, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._make = lambda: Interpreter(str(path), num_threads=threads)
        self._length = metadata.length
        self._lock = Lock()
        self._free: list[Any] = []
        self._make()  # so that errors come early; without the memory to run it, it costs nothing

    def __call__(self, mix: Array) -> Array:
        """(B, A, T) -> (B, S, A, T), one item after the other."""
        name = "separate_segment" if mix.shape[-1] == self._length else "separate"
        with self._one() as interpreter:
            run = interpreter.get_signature_runner(name)
            return np.concatenate([run(mix=item[None])["stems"] for item in mix])

    def release(self) -> None:
        """Give the memory back until the next call."""
        self._free.clear()

    @contextmanager
    def _one(self) -> Iterator[Any]:
        with self._lock:
            interpreter = self._free.pop() if self._free else self._new()
        try:
            yield interpreter
        finally:
            self._free.append(interpreter)

    def _new(self) -> Any:
        with quiet():  # it tells of its delegates past Python
            interpreter = self._make()
            interpreter.allocate_tensors()
            return interpreter
