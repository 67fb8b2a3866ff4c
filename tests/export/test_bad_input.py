"""What an export refuses, and that nothing partial stays."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demucs_tf import BagOfModels
from demucs_tf.errors import ExportError
from demucs_tf.export import export_model, read_metadata, run
from demucs_tf.export.passes import flatbuffer
from tests.export.models import model

LINES = [
    ({"format": "coreml"}, "format must be one of saved-model, tflite, onnx, got 'coreml'"),
    ({"weights": "int4"}, "weights must be float32, float16 or int8, got 'int4'"),
    ({"format": "onnx", "weights": "int8"}, "weights can't be int8 in onnx: export as tflite"),
    ({"format": "saved-model", "weights": "float16"}, "can't be float16 in saved-model"),
    ({"length": 0.001}, "length must be from 0.01 to 300 seconds, got 0.001"),
    ({"length": float("nan")}, "length must be from 0.01 to 300 seconds, got nan"),
    ({"length": 0.3}, "at most the 0.25 seconds that the model was trained on, got 0.3"),
    (
        {"any_length": True},
        "any length can't be with a model that pads all that it gets to the 2000",
    ),
    (
        {"any_length": True, "format": "onnx", "path": "m.onnx"},
        "any length can't be with a model that pads all that it gets to the 2000 samples",
    ),
    ({"path": "m.onnx"}, r"m.onnx: expected a path that ends in .tflite"),
    ({"path": "m.onnx", "format": "saved-model"}, "expected the path of a folder"),
    ({"path": "no/m.tflite"}, "there is no folder .*no. Make it first"),
]


@pytest.mark.parametrize(("arguments", "text"), LINES, ids=lambda value: str(value)[:40])
def test_arguments(arguments: dict[str, Any], text: str, tmp_path: Path) -> None:
    given = {"path": "m.tflite", "format": "tflite", **arguments}
    given["path"] = tmp_path / str(given["path"])
    with pytest.raises(ExportError, match=text):
        export_model(model("htdemucs"), **given)
    assert not list(tmp_path.iterdir())


def test_models(tmp_path: Path) -> None:
    target = tmp_path / "m.tflite"
    with pytest.raises(ExportError, match='float64: load it with dtype="float32"'):
        export_model(model("demucs", dtype="float64"), target, "tflite")
    with pytest.raises(ExportError, match="expected a model of demucs_tf or a bag of them"):
        export_model("htdemucs", target, "tflite")  # type: ignore[arg-type]
    members = BagOfModels([model("demucs"), model("demucs", 1)])
    with pytest.raises(ExportError, match="a bag of 2: give the path of a folder, or fuse"):
        export_model(members, target, "tflite")
    assert not list(tmp_path.iterdir())


def small() -> Any:
    """What is converted soonest."""
    return model("demucs", depth=1, channels=2, dconv_mode=0)


def test_a_target_that_is_there(tmp_path: Path) -> None:
    target = tmp_path / "m.tflite"
    target.write_text("mine")
    with pytest.raises(ExportError, match=r"is there already. Choose another path"):
        export_model(small(), target, "tflite")
    assert target.read_text() == "mine"
    export_model(small(), target, "tflite", force=True)
    assert read_metadata(target).model == "DemucsTF"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(ExportError, match="a folder with something else in it"):
        export_model(small(), folder, "saved-model", force=True)
    assert (folder / "thesis.txt").read_text() == "mine"
    target.unlink()
    target.mkdir()
    with pytest.raises(ExportError, match="is a folder, and would become another thing"):
        export_model(small(), target, "tflite", force=True)


@pytest.mark.export
def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    members = BagOfModels([small(), model("demucs", 1)])
    export_model(members, tmp_path / "out", "tflite")
    export_model(small(), tmp_path / "out", "saved-model", force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert read_metadata(tmp_path / "out").model == "DemucsTF"


def full_disk(*_: object, **__: object) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("step", ["written", "described", "moved"])
def test_a_full_disk_leaves_nothing(
    step: str, force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "m.tflite"
    if force:
        target.write_text("mine")
    if step == "written":
        monkeypatch.setattr(flatbuffer, "serialised", full_disk)
    elif step == "described":
        monkeypatch.setattr(run.Metadata, "to_json", full_disk)
    else:
        monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(ExportError, match=r"m.tflite: can't write it: No space left on device"):
        export_model(small(), target, "tflite", force=force)
    assert [path.name for path in tmp_path.iterdir()] == (["m.tflite"] if force else [])
    assert not force or target.read_text() == "mine"


@pytest.mark.export
def test_a_full_disk_in_the_midst_of_a_bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.Manifest, "to_json", full_disk)
    members = BagOfModels([small(), model("demucs", 1)])
    with pytest.raises(ExportError, match="can't write it"):
        export_model(members, tmp_path / "bag", "tflite")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., bool] = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and real(path, mode))
    with pytest.raises(ExportError, match="is not writable"):
        export_model(small(), tmp_path / "m.tflite", "tflite")
