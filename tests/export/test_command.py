"""`demucs-tf export`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from demucs_tf.checkpoints.formats.bag_yaml import bag_text
from demucs_tf.cli.main import main
from demucs_tf.export import read_manifest, read_metadata
from demucs_tf.models.bag import Bag
from tests.support.tiny_models import SOURCES, write_tiny


@pytest.fixture(name="repo")
def _repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two models and a bag of them; the current folder is another one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    repo = write_tiny(tmp_path / "repo", "one", "two")
    table = ((1.0, 0.0, 0.5, 1.0), (0.0, 1.0, 0.5, 2.0))
    (repo / "both.yaml").write_text(bag_text(Bag(("one", "two"), table)))
    return repo


def export(*arguments: object, status: int = 0) -> None:
    assert main(["export", *map(str, arguments)]) == status


def test_a_model_becomes_a_file(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export("one", "--repo", repo, "--format", "tflite", "-o", "one.tflite", "--length", 0.05)
    out, err = capsys.readouterr()
    assert out == "one.tflite\n"
    assert "error" not in err
    found = read_metadata(Path("one.tflite"))
    assert (found.name, found.segment, list(found.sources)) == ("one", 2205, SOURCES)
    assert found.licence == "unknown: that of the checkpoint"


def test_a_bag_becomes_a_folder(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--format", "tflite", "--length", 0.05, "--licence", "CC BY")
    export("both", "--repo", repo, *options, "-o", "both")
    lines = capsys.readouterr().out.splitlines()
    manifest = read_manifest(Path("both"))
    members = [str(Path("both") / member.file) for member in manifest.members]
    assert lines == [str(Path("both/manifest.json")), *members]
    assert manifest.weights_table[1] == (0.0, 1.0, 0.5, 2.0)
    assert read_metadata(Path(members[0])).licence == "CC BY"


def test_a_target_that_is_there(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("one.tflite").write_text("mine")
    options = ("one", "--repo", repo, "--format", "tflite", "-o", "one.tflite", "--length", 0.05)
    export(*options, status=1)
    assert capsys.readouterr().err == (
        "error: one.tflite: is there already. Choose another path, or give --force.\n"
    )
    assert Path("one.tflite").read_text() == "mine"
    export(*options, "--force")
    assert read_metadata(Path("one.tflite")).name == "one"


def test_a_missing_package_is_one_line(
    repo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    export("one", "--repo", repo, "--format", "onnx", "-o", "one.onnx", status=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: the package tf2onnx is needed for this format")
    assert err.endswith("pip install 'demucs-tf[export]'\n")
    assert len(err.splitlines()) == 1


def test_wrong_usage(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["one"], ["one", "--format", "coreml", "-o", "x"]):
        with pytest.raises(SystemExit) as caught:
            main(["export", *arguments])
        assert caught.value.code == 2
    assert "choose from saved-model, tflite, onnx" in capsys.readouterr().err.replace("'", "")
