"""The command on exported files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from demucs_tf import Separator
from demucs_tf.audio.reader import read_audio
from demucs_tf.cli.main import main
from demucs_tf.export import export_model
from parity.core.compare import snr_db
from tests.support.command import RATE, files, refused, run, stems
from tests.support.exports import export_tiny, tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported file for LiteRT."""
    return export_tiny(tmp_path_factory.mktemp("exported"), "demucs", "tflite")


@pytest.fixture(scope="module")
def made_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag's folder, of one and the same model."""
    from demucs_tf import BagOfModels

    one = tiny("demucs")
    folder = tmp_path_factory.mktemp("bags") / "both"
    export_model(BagOfModels([one, one], [[1, 0], [0, 1]]), folder, "tflite")
    return folder


@pytest.fixture
def bag(made_bag: Path, folder: Path) -> Path:
    """A copy of it in the current folder."""
    return Path(shutil.copytree(made_bag, folder / made_bag.name))


def test_stems_are_those_of_the_separator(folder: Path, model: Path) -> None:
    run("song.wav", "-n", model, "--seed", "3", "--float32", "--clip-mode", "none")
    assert files("separated") == ["demucs-0/song/a.wav", "demucs-0/song/b.wav"]
    wav, _ = read_audio("song.wav")
    _, wanted = Separator(model, seed=3).separate_tensor(wav)
    for name, stem in stems("separated/demucs-0/song").items():
        assert snr_db(stem, wanted[name]) >= 120


def test_other_options_work_as_ever(folder: Path, model: Path) -> None:
    run(
        "song.wav",
        "-n",
        model,
        "-o",
        "out",
        "--two-stems",
        "a",
        "--flac",
        "-j",
        "2",
        "--shifts",
        "0",
    )
    assert files("out") == ["demucs-0/song/a.flac", "demucs-0/song/no_a.flac"]


@pytest.mark.parametrize("name", ["both", "both/manifest.json", "both/"])
def test_a_bag_gives_its_folder_the_name(folder: Path, bag: Path, name: str) -> None:
    run("song.wav", "-n", name, "-o", "out", "--shifts", "0")
    assert files("out") == ["both/song/a.wav", "both/song/b.wav"]


def test_tensorflow_stays_out(folder: Path, model: Path) -> None:
    code = (
        "import sys; from demucs_tf.cli.main import main; "
        f"status = main(['song.wav', '-n', {str(model)!r}]); "
        "heavy = [m for m in ('tensorflow', 'keras', 'torch') if m in sys.modules]; "
        "print(status, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert "INFO" not in done.stderr  # what the runtime says past Python


def test_info(folder: Path, model: Path, bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(model)]) == 0
    out = capsys.readouterr().out
    for line in (
        "class       DemucsTF",
        "sources     a, b",
        f"sample rate {RATE} Hz",
        "name        tiny",
    ):
        assert line in out
    assert main(["info", str(bag)]) == 0
    out = capsys.readouterr().out
    assert "bag of      2 models" in out
    assert "counts      a 0, b 1" in out


def test_usage_that_does_not_fit(
    folder: Path,
    model: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fixed = export_tiny(tmp_path_factory.mktemp("fixed"), "demucs", "tflite", any_length=False)
    for options, text in (
        (("-n", model, "--engine", "onnx"), "exported for litert"),
        (("-n", "htdemucs", "--engine", "litert"), "demucs-tf export MODEL --format tflite"),
        (("-n", fixed, "--segment", "0.5"), "takes chunks of 1 s only"),
        (("-n", model, "--dtype", "float64"), "computes in float32"),
        (("-n", model, "-d", "gpu"), "run on the cpu"),
    ):
        assert text in refused(capsys, "song.wav", *options)
    assert files(".") == ["song.wav"]


def test_a_damaged_file_is_one_line(
    folder: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(model, "cut.tflite")
    Path("cut.tflite").write_bytes(model.read_bytes()[:-5])
    run("song.wav", "-n", "cut.tflite", status=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: cut.tflite: ")


def test_an_export_is_not_converted(
    folder: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(model), "out.safetensors"]) == 1
    assert "give the checkpoint that it was exported from" in capsys.readouterr().err


def test_the_report_names_the_model(folder: Path, model: Path) -> None:
    run("song.wav", "-n", model, "--shifts", "0", "--report", "report.json")
    report = json.loads(Path("report.json").read_text(encoding="utf-8"))
    assert report["settings"]["name"] == str(model)
    assert report["tracks"][0]["status"] == "done"
