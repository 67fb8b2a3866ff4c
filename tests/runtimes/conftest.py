"""Tiny models and their exported files, made once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from demucs_tf import BagOfModels
from demucs_tf.export import export_model
from tests.support.exports import export_tiny, tiny

Exported = Callable[..., Path]
TABLE = [[0.25, 2.0], [1.5, -0.5], [0.0, 1.0]]  # of `bag`


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """`exported("demucs", "onnx", seed)`: the file of a tiny model of that kind."""
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def made(kind: str, format: str, seed: int = 0) -> Path:
        return export_tiny(folder, kind, format, seed)

    return made


@pytest.fixture(scope="session")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bag of three, the last of which is the first, with a general table."""
    folder = tmp_path_factory.mktemp("bags") / "mixed"
    models = [tiny("demucs", seed) for seed in (0, 1)]
    export_model(BagOfModels([*models, models[0]], TABLE), folder, "tflite")
    return folder
