"""Each small model in each format, exported once for all tests of a process."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from demucs_tf.export import export_model
from tests.export.models import model

# What is converted once more than `make test` has time for: `--export` (tox -e export) runs it.
LONG = (
    r"test_any_length.py::test_(any_length_in_any_order|a_whole_track)\[(?!lstm-float16)",
    r"test_any_length.py::test_(the_graph_of_one_length|one_graph_of_a_bag)",
    r"test_bags.py::test_one_graph\[(?!tflite\])",
    r"test_examples.py::test_stems_with_the_runtime_alone\[tflite",
    r"test_formats.py::test_narrow_weights_are_close\[hdemucs",
    r"test_keras_door.py::test_it_runs_elsewhere\[(htdemucs|demucs-openvino)",
    r"test_litert.py::test_float16_is_float32_where_the_checkpoint_is",
    r"test_onnx.py::test_any_length\[h",
    r"test_onnx.py::test_a_length_that_is_asked_for\[h",
    r"test_onnx.py::test_openvino_runs_it\[hdemucs",
    r"test_same_bytes.py",
    r"test_watch.py::test_layers_come_out_under_their_paths\[htdemucs",
)
SUFFIXES = {"saved-model": "", "tflite": ".tflite", "onnx": ".onnx"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long, before it is left out."""
    for item in items:
        if any(re.search(f"tests/export/{pattern}", item.nodeid) for pattern in LONG):
            item.add_marker("export")


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
