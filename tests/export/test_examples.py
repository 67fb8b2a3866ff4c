"""The examples, each in an environment that has nothing but its runtime, NumPy and soundfile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile

from demucs_tf import BagOfModels, Separator
from demucs_tf.export import export_model
from parity.core.compare import snr_db
from tests.support.exports import RATE, SOURCES, as_in, export_tiny, tiny
from tests.support.fakes import noise

EXAMPLES = Path(__file__).parents[2] / "examples"
# Format -> the example, and its runtime.
ROWS = {
    "onnx": ("onnx_numpy.py", "onnxruntime"),
    "tflite": ("litert_numpy.py", "ai-edge-litert"),
    "saved-model": ("saved_model_numpy.py", "tensorflow"),
}
TRACK = noise(2, 3 * RATE + 123)
TABLE = [[0.25, 2.0], [1.5, -0.5], [0.0, 0.0]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The Python of a new environment with one runtime."""

    @cache
    def made(runtime: str) -> Path:
        folder = tmp_path_factory.mktemp(runtime)
        python = folder / "bin" / "python"
        pip: list[Any] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([*pip, runtime, "numpy", "soundfile"], check=True)
        return python

    return made


def example(name: str, *arguments: Any, python: Any = sys.executable) -> Any:
    command = [python, EXAMPLES / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=EXAMPLES)


def written(folder: Path, track: Any = TRACK) -> Path:
    path = folder / "song.wav"
    soundfile.write(path, track.T, RATE, subtype="FLOAT")
    return path


def check(folder: Path, wanted: dict[str, Any], least: float = 100) -> None:
    assert sorted(path.stem for path in folder.iterdir()) == sorted(wanted)
    for name, stem in wanted.items():
        found, rate = soundfile.read(folder / f"{name}.wav", dtype="float32")
        assert rate == RATE
        assert snr_db(found.T, stem) >= least


def of_the_model(model: Any, path: Path) -> dict[str, Any]:
    """What the model itself gives for chunks as long as those of its file."""
    return Separator(as_in(path, model), shifts=0).separate_tensor(TRACK)[1]


@pytest.mark.parametrize(
    "format",
    ["tflite", *(pytest.param(each, marks=pytest.mark.export) for each in ("onnx", "saved-model"))],
)
def test_stems_with_the_runtime_alone(
    format: str, environment: Callable[[str], Path], tmp_path: Path
) -> None:
    name, runtime = ROWS[format]
    python = environment(runtime)
    known = subprocess.run(
        [python, "-c", "import demucs_tf"], capture_output=True, cwd=EXAMPLES, check=False, env={}
    )
    assert known.returncode == 1
    for kind in ("demucs", "htdemucs")[: 1 if format == "onnx" else 2]:  # the slowest to export
        path = export_tiny(tmp_path, kind, format)
        done = example(name, path, written(tmp_path), tmp_path / kind, python=python)
        assert done.returncode == 0, done.stderr
        check(tmp_path / kind, of_the_model(tiny(kind), path))


def test_a_track_shorter_than_a_chunk_and_a_silent_one(tmp_path: Path) -> None:
    path = export_tiny(tmp_path, "demucs", "tflite")
    for track in (TRACK[:, :777], np.zeros_like(TRACK)):
        done = example("litert_numpy.py", path, written(tmp_path, track), tmp_path / "out")
        assert done.returncode == 0, done.stderr
        found, _ = soundfile.read(tmp_path / "out" / "a.wav")
        assert found.shape == track.T.shape
        assert np.isfinite(found).all()


@pytest.mark.export
def test_a_bag_with_a_general_table(tmp_path: Path) -> None:
    models = [tiny("demucs", seed) for seed in (0, 1, 2)]
    export_model(BagOfModels(models, TABLE), tmp_path / "bag", "tflite")
    done = example("bag_numpy.py", tmp_path / "bag", written(tmp_path), tmp_path / "out")
    assert done.returncode == 0, done.stderr
    path = next((tmp_path / "bag").glob("*.tflite"))
    members = [of_the_model(model, path) for model in models]
    table = np.array(TABLE, np.float32)
    wanted = {
        name: sum(w * stems[name] for w, stems in zip(table[:, k], members, strict=True))
        / table[:, k].sum()
        for k, name in enumerate(SOURCES)
    }
    check(tmp_path / "out", wanted)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {format: export_tiny(folder, "demucs", format) for format in ("onnx", "tflite")}


@pytest.mark.parametrize("format", ["onnx", "tflite"])
@pytest.mark.parametrize(
    ("rate", "channels", "text"),
    [
        (RATE + 1, 2, f"found 100 samples of 2 at {RATE + 1} Hz"),
        (RATE, 1, "found 100 samples of 1"),
    ],
)
def test_audio_that_does_not_fit(
    models: dict[str, Path], tmp_path: Path, format: str, rate: int, channels: int, text: str
) -> None:
    song = tmp_path / "song.wav"
    soundfile.write(song, noise(100, channels), rate)
    done = example(ROWS[format][0], models[format], song, tmp_path / "out")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"expected 2 channels at {RATE} Hz, {text}" in line
    assert f"ffmpeg -i {song} -ar {RATE} -ac 2 " in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["onnx", "tflite"])
def test_what_is_no_export_or_no_audio(
    models: dict[str, Path], tmp_path: Path, format: str
) -> None:
    other = models["tflite" if format == "onnx" else "onnx"]
    for model in (other, written(tmp_path), tmp_path / "missing"):
        done = example(ROWS[format][0], model, written(tmp_path), tmp_path / "out")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(f"{model}: ")
        assert f"demucs-tf export NAME --format {format} -o " in done.stderr
    done = example(ROWS[format][0], models[format], other, tmp_path / "out")
    assert done.returncode == 1
    assert f"{other} can't be read" in done.stderr.splitlines()[-1]
    done = example("bag_numpy.py", tmp_path, written(tmp_path), tmp_path / "out")
    assert done.returncode == 1
    assert "demucs-tf export BAG" in done.stderr


@pytest.mark.parametrize("format", ["onnx", "tflite"])
def test_a_file_that_was_changed(models: dict[str, Path], tmp_path: Path, format: str) -> None:
    data = bytearray(models[format].read_bytes())
    place = len(data) // 2
    if format == "onnx":  # in a weight, so that the runtime finds nothing wrong
        place = data.index(
            max((t.raw_data for t in onnx.load(models[format]).graph.initializer), key=len)
        )
    data[place] ^= 1
    path = tmp_path / f"changed.{format}"
    path.write_bytes(data)
    done = example(ROWS[format][0], path, written(tmp_path), tmp_path / "out")
    assert done.returncode == 1
    assert "it was changed" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["bag_numpy.py", *(row[0] for row in ROWS.values())])
def test_examples_stay_short(name: str) -> None:
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    assert not [line for line in lines if "demucs_tf" in line and "import" in line]
