"""Each small model in each format, exported once for all tests of a process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from demucs_tf.export import export_model
from tests.export.models import model

SUFFIXES = {"saved-model": "", "tflite": ".tflite", "onnx": ".onnx"}


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The file of a kind of model, in a format, with such weights."""
    folder = tmp_path_factory.mktemp("exported")

    @cache
    def made(kind: str, format: str, weights: str) -> Path:
        path = folder / f"{kind}-{weights}{SUFFIXES[format]}"
        export_model(model(kind), path, format, weights=weights)
        return path

    return lambda kind, format, weights="float32": made(kind, format, weights)
