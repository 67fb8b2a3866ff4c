"""What can't be loaded or run as an exported file is told in one sentence, with what to do."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from demucs_tf import ExportError, ModelNotFoundError, Separator, apply_model, load_model
from demucs_tf.errors import DemucsTFError
from demucs_tf.export.files import MANIFEST
from demucs_tf.export.protobuf import field
from tests.runtimes.conftest import Exported
from tests.support.exports import RATE, tiny
from tests.support.fakes import noise

FORMATS = ["onnx", "tflite"]


@pytest.fixture(params=FORMATS)
def file(request: pytest.FixtureRequest, exported: Exported, tmp_path: Path) -> Path:
    """A copy to damage."""
    path = exported("demucs", request.param)
    shutil.copy(path, tmp_path)
    return tmp_path / path.name


def test_a_file_that_is_cut_off(file: Path) -> None:
    data = file.read_bytes()
    for length in (0, 3, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(ExportError, match=r"^[^\n]*(cut off|found something else)[^\n]*$"):
            load_model(file)


def test_a_file_that_was_changed(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(ExportError, match=r"damaged|changed|cut off|Export the model"):
        load_model(file)


def test_a_foreign_file(tmp_path: Path, exported: Exported) -> None:
    import zipfile

    foreign = tmp_path / "foreign.tflite"
    data = exported("demucs", "tflite").read_bytes()
    foreign.write_bytes(
        data[: zipfile.ZipFile(exported("demucs", "tflite")).infolist()[0].header_offset]
    )
    with pytest.raises(ExportError, match="not written by demucs_tf"):
        load_model(foreign)
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(field(2, b"elsewhere") + field(7, b"graph"))
    with pytest.raises(ExportError, match="not written by demucs_tf"):
        load_model(foreign)


def test_what_the_runtime_refuses(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from demucs_tf.runtimes import load

    class Broken:
        def __init__(self, *arguments: Any) -> None:
            raise RuntimeError("operator 7 is\nunknown")

    for module in ("litert.LiteRT", "onnx.OnnxRuntime"):
        monkeypatch.setattr(f"demucs_tf.runtimes.{module}", Broken)
    assert load.RUNTIMES
    with pytest.raises(ExportError, match=r"can't load it \(operator 7 is.*install a newer"):
        load_model(file)


def test_a_runtime_that_is_not_installed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("onnxruntime", "ai_edge_litert", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, module, None)
    extra = {".onnx": "onnx", ".tflite": "litert"}[file.suffix]
    with pytest.raises(ExportError, match=rf"pip install 'demucs-tf\[{extra}\]'"):
        load_model(file)


@pytest.mark.parametrize("name", ["no.onnx", "no.tflite", "no/manifest.json"])
def test_no_such_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="no"):
        load_model(tmp_path / name)


def test_double_precision(file: Path) -> None:
    with pytest.raises(ValueError, match="computes in float32"):
        load_model(file, dtype="float64")


def test_engines_that_do_not_fit(file: Path) -> None:
    own = {".onnx": "onnx", ".tflite": "litert"}[file.suffix]
    other = ({"onnx", "litert"} - {own}).pop()
    with pytest.raises(ValueError, match=f"engine {other} can't run this file.*for {own}"):
        Separator(file, engine=other)
    with pytest.raises(ValueError, match=r"engine graph can't run this file.*the checkpoint"):
        Separator(file, engine="graph")
    with pytest.raises(ValueError, match="exported files run on the cpu"):
        Separator(file, device="gpu")
    with pytest.raises(ValueError, match=f"precision bfloat16: engine {own} runs this file as"):
        Separator(file, precision="bfloat16")
    assert Separator(file, device="cpu", engine=own).samplerate == RATE


@pytest.mark.parametrize("engine", ["onnx", "litert"])
def test_a_checkpoint_has_to_be_exported_first(engine: Any) -> None:
    for call in (
        lambda: Separator("htdemucs", engine=engine),  # before it is looked for
        lambda: Separator(tiny("demucs"), engine=engine),
        lambda: apply_model(tiny("demucs"), noise(1, 2, 100), engine=engine),
    ):
        with pytest.raises(ValueError, match=r"demucs-tf export MODEL --format \w+ -o model\.\w+"):
            call()


def test_a_saved_model_is_no_model_for_here(exported: Exported) -> None:
    with pytest.raises(ExportError, match=r"found a SavedModel.*saved_model_numpy.py"):
        load_model(exported("demucs", "saved-model"))


def test_a_bag_whose_member_was_changed_or_is_missing(bag: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bag"
    shutil.copytree(bag, folder)
    member = sorted(folder.glob("*.tflite"))[0]
    member.write_bytes(member.read_bytes()[:-1])
    with pytest.raises(ExportError, match=f"{member.name}.*damaged"):
        load_model(folder)
    member.unlink()
    with pytest.raises(ModelNotFoundError, match=member.name):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "expected format 1, found 2"),
        ({"sources": ["a", "c"]}, "expected models for a, c"),
        ({"weights_table": [[1, 0], [1, 0], [1, 0]]}, "add up to 0 for 'b'"),
    ],
)
def test_a_manifest_that_does_not_fit(
    bag: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "bag"
    shutil.copytree(bag, folder)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps({**manifest, **changes}), encoding="utf-8")
    with pytest.raises(DemucsTFError, match=message):
        load_model(folder)
