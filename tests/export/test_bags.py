"""Bags: a folder with a manifest, or one graph that averages its members."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf import BagOfModels, apply_model
from demucs_tf.errors import ExportError
from demucs_tf.export import export_model, read_manifest, read_metadata
from demucs_tf.inference.chunks import TensorChunk, center_trim
from tests.export.models import RATE, Array, mixture, model, separated, snr

ONE_HOT = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
GENERAL = [[1.0, 0.5, 0.0, 2.0], [0.5, -0.25, 1.0, 1.0], [0.0, 1.0, 1.0, 0.1]]


def bag(table: list[list[float]]) -> BagOfModels:
    """Members of all classes, which want chunks of different lengths."""
    return BagOfModels([model("demucs", 1), model("htdemucs", 2), model("hdemucs", 3)], table)


def chunk(length: int) -> tuple[Array, TensorChunk]:
    """A track, and a chunk of a quarter of a second in the middle of it."""
    track = mixture(RATE)
    return track, TensorChunk(track, 3000, length)


def one_chunk(members: BagOfModels, track: Array, part: TensorChunk) -> Array:
    """What `apply_model` makes of a chunk, member by member, and how it averages."""
    outputs: list[Any] = []
    for member in members.models:
        length = int(getattr(member, "valid_length", int)(part.length))
        options = {"shift": 0} if hasattr(member, "draw_shift") else {}
        stems = np.asarray(member(part.padded(length), **options))
        outputs.append(center_trim(stems, part.length))
    weights = np.array(members.weights, np.float32)[:, None, :, None, None]
    averaged: Array = (np.stack(outputs) * weights).sum(0) / weights.sum(0)
    return averaged


@pytest.mark.parametrize(
    ("format", "table"),
    [("saved-model", GENERAL), ("tflite", ONE_HOT), ("tflite", GENERAL), ("onnx", GENERAL)],
    ids=["saved-model", "tflite-one-hot", "tflite", "onnx"],
)
def test_one_graph(format: str, table: list[list[float]], tmp_path: Path) -> None:
    members = bag(table)
    path = tmp_path / {"saved-model": "m", "tflite": "m.tflite", "onnx": "m.onnx"}[format]
    assert export_model(members, path, format, fuse=True) == [path]
    found = read_metadata(path)
    assert (found.model, found.segment) == ("BagOfModels", RATE // 4)
    track, part = chunk(found.segment)
    stems = separated(path, part.padded(found.length))
    assert stems.shape[-1] == found.length
    assert snr(one_chunk(members, track, part), center_trim(stems, found.segment)) >= 100


def test_one_chunk_is_what_apply_model_makes() -> None:
    """The reference of the test above."""
    members = bag(GENERAL)
    track = mixture(RATE // 4)
    part = TensorChunk(track, 0, RATE // 4)
    applied = apply_model(members, track, shifts=0, overlap=0, seed=0)
    assert snr(applied, one_chunk(members, track, part)) >= 100


@pytest.mark.export
def test_a_folder(tmp_path: Path) -> None:
    members = bag(GENERAL)
    written = export_model(members, tmp_path / "bag", "tflite", name="mine", licence="MIT")
    manifest = read_manifest(tmp_path / "bag")
    assert [path.name for path in written] == [
        "manifest.json",
        *(member.file for member in manifest.members),
    ]
    assert manifest.weights_table == tuple(map(tuple, GENERAL))
    assert (manifest.name, manifest.segment) == ("mine", RATE // 4)
    track, part = chunk(RATE // 4)
    outputs = []
    for member in manifest.members:
        path = tmp_path / "bag" / member.file
        found = read_metadata(path)
        assert found.licence == "MIT"
        stems = separated(path, part.padded(found.length))
        outputs.append(center_trim(stems, part.length))
    weights = np.array(manifest.weights_table, np.float32)[:, None, :, None, None]
    averaged = (np.stack(outputs) * weights).sum(0) / weights.sum(0)
    assert snr(one_chunk(members, track, part), averaged) >= 100


@pytest.mark.export
def test_a_member_twice_is_one_file(tmp_path: Path) -> None:
    one = model("demucs")
    export_model(BagOfModels([one, model("demucs", 1), one]), tmp_path / "bag", "tflite")
    files = [member.file for member in read_manifest(tmp_path / "bag").members]
    assert files[0] == files[2] != files[1]
    assert len(list((tmp_path / "bag").iterdir())) == 3


def test_a_bag_of_one_is_that_model(tmp_path: Path) -> None:
    (path,) = export_model(BagOfModels([model("demucs")]), tmp_path / "m.tflite", "tflite")
    assert read_metadata(path).model == "DemucsTF"


@pytest.mark.export
def test_segments_that_differ(tmp_path: Path) -> None:
    members = BagOfModels([model("demucs"), model("demucs", segment=0.5)])
    with pytest.raises(ExportError, match=r"segments of 2000, 4000 samples.*give a length"):
        export_model(members, tmp_path / "m.tflite", "tflite", fuse=True)
    export_model(members, tmp_path / "bag", "tflite")
    assert read_manifest(tmp_path / "bag").segment is None
    export_model(members, tmp_path / "m.tflite", "tflite", fuse=True, length=0.25)
    assert read_metadata(tmp_path / "m.tflite").segment == 2000
