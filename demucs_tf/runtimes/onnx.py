"""A `.onnx` file as a function, by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from demucs_tf.export.metadata import Metadata
from demucs_tf.runtimes.model import Array

_ERRORS_ALONE = 3


class OnnxRuntime:
    """A session on the CPU; threads may share it.

    Args:
        path: of the file.
        metadata: what it says of itself.
        threads: that one run works with.
    """

    def __init__(self, path: Path, metadata: Metadata, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ALONE
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, mix: Array) -> Array:
        """(B, A, T) -> (B, S, A, T)."""
        stems: Array = self._session.run(["stems"], {"mix": mix})[0]
        return stems
