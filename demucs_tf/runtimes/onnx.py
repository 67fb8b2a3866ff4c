"""A `.onnx` file as a function, by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

from demucs_tf.export.metadata import Metadata
from demucs_tf.runtimes.model import Array

_ERRORS_ALONE = 3


class OnnxRuntime:
    """A session on the CPU; threads share it.

    Args:
        path: of the file.
        metadata: what it says of itself.
        threads: that one run works with.
    """

    def __init__(self, path: Path, metadata: Metadata, threads: int) -> None:
        self._path, self._threads = path, threads
        self._lock = Lock()
        self._session: Any = None
        self._made()  # so that errors come early

    def __call__(self, mix: Array) -> Array:
        """(B, A, T) -> (B, S, A, T)."""
        stems: Array = self._made().run(["stems"], {"mix": mix})[0]
        return stems

    def release(self) -> None:
        """Give the memory back until the next call."""
        self._session = None

    def _made(self) -> Any:
        import onnxruntime

        with self._lock:
            if self._session is None:
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = self._threads
                options.log_severity_level = _ERRORS_ALONE
                self._session = onnxruntime.InferenceSession(
                    str(self._path), options, providers=["CPUExecutionProvider"]
                )
            return self._session
