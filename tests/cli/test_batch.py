"""`demucs-tf separate` on folders: what is taken, resumed after a crash, and reported."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import soundfile

from demucs_tf import Separator, load_model, save_model
from demucs_tf.audio.reader import read_audio
from demucs_tf.cli import options
from demucs_tf.cli import separate as cli_separate
from demucs_tf.cli.main import main
from demucs_tf.inference.settings import Engine, Settings
from demucs_tf.utils.work_folder import PREFIX, work_folder
from tests.support.command import RATE, SOURCES, files, refused, run, stems
from tests.support.fakes import FakeTF, noise


@pytest.fixture
def album(folder: Path) -> Path:
    """Three tracks of 2, 3 and 4 s in a folder, with things beside them."""
    Path("song.wav").unlink()
    Path("album/two").mkdir(parents=True)
    for seconds, name in ((2, "a.wav"), (3, "b.flac"), (4, "two/c.wav")):
        soundfile.write(f"album/{name}", noise(2, seconds * RATE, seed=seconds).T, RATE)
    Path("album/cover.png").write_bytes(b"png")
    Path("album/.hidden.wav").write_bytes(b"RIFF")
    return folder


TRACKS = ["a", "b", "two/c"]
ALL = sorted(f"tiny/{track}/{name}.wav" for track in TRACKS for name in SOURCES)


@pytest.mark.parametrize("arguments", [["album"], ["album/*", "album/a.wav"], ["album/**/*.*"]])
def test_folders_and_patterns(album: Path, checkpoint: Path, arguments: list[str]) -> None:
    run(*arguments, "-n", checkpoint, "--shifts", "0")
    assert files("separated") == ALL


def test_the_output_folder_is_not_an_input(album: Path, checkpoint: Path) -> None:
    for _ in range(2):
        run("album", "-n", checkpoint, "--shifts", "0", "-o", "album/separated")
    assert files("album/separated") == ALL


def test_a_pattern_without_audio_does_not_stop_the_others(
    album: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("album/*.ogg", "album/a.wav", "-n", checkpoint, "--shifts", "0", status=1)
    errors = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    assert len(errors) == 1
    assert "album/*.ogg" in errors[0]
    assert len(files("separated")) == 4


def test_resume_does_what_is_missing(
    album: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("album", "-n", checkpoint, "--seed", "1")
    whole = {name: Path("separated", name).read_bytes() for name in ALL}
    Path("separated/tiny/b/bass.wav").unlink()
    Path("separated/tiny/a/bass.wav").write_bytes(b"mine")
    capsys.readouterr()
    run("album", "-n", checkpoint, "--seed", "1", "--resume")
    out, err = capsys.readouterr()
    assert err.count("Done already: ") == 2
    assert [x for x in err.splitlines() if "Separating" in x] == ["[2/3] Separating album/b.flac"]
    assert out.splitlines() == [f"separated/tiny/b/{name}.wav" for name in SOURCES]
    whole["tiny/a/bass.wav"] = b"mine"
    assert {name: Path("separated", name).read_bytes() for name in ALL} == whole


def test_the_report(album: Path, checkpoint: Path) -> None:
    Path("album/bad.wav").write_text("text")
    options = ("-n", checkpoint, "--shifts", "0", "--report", "report.json")
    run("album/a.wav", "album/bad.wav", *options, status=1)
    report = json.loads(Path("report.json").read_text())
    assert report["settings"]["shifts"] == 0
    assert report["settings"]["name"] == str(checkpoint)
    failed, done = (
        report["tracks"] if report["tracks"][0]["status"] == "failed" else (report["tracks"][::-1])
    )
    assert failed["track"] == "album/bad.wav"
    assert "album/bad.wav: expected" in failed["error"]
    assert done["stems"] == [f"separated/tiny/a/{name}.wav" for name in SOURCES]
    assert done["length"] == 2
    run("album/a.wav", *options, "--resume")
    [skipped] = json.loads(Path("report.json").read_text())["tracks"]
    assert skipped["status"] == "skipped"


def test_the_report_is_there_after_each_track(
    album: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C on the second track leaves what became of the first."""
    separate = cli_separate._separate

    def interrupted(separator: Any, track: Path, *rest: Any) -> float:
        if track.name.startswith("b"):
            raise KeyboardInterrupt
        return separate(separator, track, *rest)

    monkeypatch.setattr(cli_separate, "_separate", interrupted)
    run("album", "-n", checkpoint, "--report", "r.json", status=130)
    assert [x["status"] for x in json.loads(Path("r.json").read_text())["tracks"]] == ["done"]


@pytest.mark.parametrize("place", ["no/r.json", "album"])
def test_a_report_that_can_not_be_written_is_said_at_once(
    album: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys, "album", "-n", "none.th", "--report", place)
    assert f"--report {place}: expected a file in a folder that is there" in error
    error = refused(capsys, "album", "-n", "none.th", "--report", 300 * "x")
    assert "x: File name too long." in error


def test_stems_beside_their_tracks(album: Path, checkpoint: Path) -> None:
    """The second run finds the same tracks, and none of the stems."""
    for argument, out, names in (
        ("album", "album", ["a.wav", "b.flac", "two/c.wav"]),
        ("album/*.wav", ".", ["a.wav"]),
    ):
        for _ in range(2):
            run(argument, "-n", checkpoint, "--shifts", "0", "-o", out, "--report", "r.json")
            done = [x["track"] for x in json.loads(Path("r.json").read_text())["tracks"]]
            assert done == [f"album/{name}" for name in names]


@pytest.mark.parametrize("rate", [44100, 4000, 11025])
def test_the_rate_of_the_track_can_be_kept(folder: Path, checkpoint: Path, rate: int) -> None:
    frames = 2 * rate + 17
    slow = np.sin(np.arange(frames) * 2 * np.pi * 300 / rate) * 0.3
    soundfile.write("song.wav", slow, rate, subtype="FLOAT")
    options = ("-n", checkpoint, "--two-stems", "bass", "--other-method", "minus", "--float32")
    run("song.wav", *options, "--clip-mode", "none", "--rate", "keep")
    found = stems()
    assert {soundfile.info(f"separated/tiny/song/{n}.wav").samplerate for n in found} == {rate}
    again = found["bass"] + found["minus_bass"]  # the track, through both conversions
    assert again.shape == (2, frames)
    middle = slice(rate // 10, -rate // 10)
    assert np.abs(again - slow)[:, middle].max() < 2e-3


def test_mp3(folder: Path, checkpoint: Path) -> None:
    run("song.wav", "-n", checkpoint, "--mp3", "--mp3-bitrate", "64", "--mp3-preset", "7")
    wav, rate = read_audio("separated/tiny/song/bass.mp3")
    assert rate == RATE
    assert 2 * RATE <= wav.shape[1] < 2.5 * RATE


def test_rounding_moves_by_half_a_step(folder: Path, checkpoint: Path) -> None:
    run("song.wav", "-n", checkpoint, "--seed", "1", "-o", "cut")
    run("song.wav", "-n", checkpoint, "--seed", "1", "-o", "near", "--rounding", "round")
    cut, near = stems("cut/tiny/song"), stems("near/tiny/song")
    apart = np.concatenate([np.abs(near[n]) - np.abs(cut[n]) for n in SOURCES]) * 2**15
    assert set(np.unique(apart)) == {0.0, 1.0}
    assert 0.4 < apart.mean() < 0.6


def test_a_segment_longer_than_a_transformer_was_trained_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from demucs_tf import HTDemucsTF

    small: dict[str, Any] = {
        "channels": 4,
        "nfft": 64,
        "depth": 2,
        "t_heads": 1,
        "t_layers": 1,
        "dconv_comp": 2,
    }
    HTDemucsTF(SOURCES, **small, samplerate=RATE, segment=1).save("ht.keras")
    err = refused(capsys, "song.wav", "-n", "ht.keras", "--segment", "2")
    assert "segment 2 s: the model was trained on 1 s and takes no more" in err
    run("song.wav", "-n", "ht.keras", "--no-split", status=1)
    err = capsys.readouterr().err
    assert "error: song.wav: a track of 2.0 s is too long for the model to take it at once" in err
    assert "leave out --no-split" in err


# --- crashes ----------------------------------------------------------------------------------


def test_killed_in_the_middle_and_resumed(album: Path, checkpoint: Path) -> None:
    """`kill -9` while the second track is separated, and again while the third is."""
    command = [sys.executable, "-m", "demucs_tf", "separate", "album", "-n", str(checkpoint)]
    options = ["--seed", "1", "--shifts", "40", "--resume"]
    separated: list[str] = []
    for wanted in ("b.flac", "c.wav", ""):
        with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if started := re.match(r"\[\d/3\] Separating (\S+)", line):
                    separated.append(Path(started[1]).name)
                    if separated[-1] == wanted:
                        while not any(PREFIX in name for name in files("separated")):
                            time.sleep(0.01)  # until the stems are being written
                        os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == (-signal.SIGKILL if wanted else 0)
        if wanted == "b.flac":
            assert any(PREFIX in name for name in files("separated"))
            assert all(Path(f"separated/tiny/a/{name}.wav").is_file() for name in SOURCES)
            assert not Path("separated/tiny/b").exists()
    assert separated == ["a.wav", "b.flac", "b.flac", "c.wav", "c.wav"]
    assert files("separated") == ALL
    resumed = {name: Path("separated", name).read_bytes() for name in ALL}
    run("album", "-n", checkpoint, "--seed", "1", "--shifts", "40")
    assert {name: Path("separated", name).read_bytes() for name in ALL} == resumed


def test_a_folder_that_somebody_works_in_stays(tmp_path: Path) -> None:
    with work_folder(tmp_path) as first:
        (first / "0.wav").touch()
        with work_folder(tmp_path) as second:
            assert first.is_dir()
            assert second != first
        assert (first / "0.wav").is_file()
        assert not second.exists()
    abandoned = tmp_path / f"{PREFIX}old"
    abandoned.mkdir()
    (abandoned / "0.wav").touch()
    with work_folder(tmp_path):
        assert not abandoned.exists()
    assert list(tmp_path.iterdir()) == []


def test_list_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "aaaa.th").touch()
    (tmp_path / "bag.yaml").touch()
    assert main(["separate", "--list-models", "--repo", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "Bag of models:\n    bag\nSingle models:\n    aaaa\n"


def test_no_tracks(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the following arguments are required: TRACK" in refused(capsys)


def test_the_example_writes_what_the_command_writes(folder: Path, checkpoint: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "stream.py"
    command = [sys.executable, str(example), "song.wav", "--name", str(checkpoint), "--out", "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-4:] == [f"out/{name}.flac" for name in SOURCES]
    run("song.wav", "-n", checkpoint, "--seed", "0", "--flac")
    for name in SOURCES:
        wanted = Path(f"separated/tiny/song/{name}.flac").read_bytes()
        assert Path(f"out/{name}.flac").read_bytes() == wanted
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(
        f"{name}.flac" for name in SOURCES
    )


@pytest.mark.parametrize(("method", "needed"), [("add", 4), ("minus", 1), ("none", 1)])
def test_a_bag_runs_the_models_that_are_needed(
    folder: Path, checkpoint: Path, method: str, needed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(checkpoint)
    for name in SOURCES:
        save_model(model, f"{name}.safetensors")
    rows = [[float(row == column) for column in range(4)] for row in range(4)]
    Path("bag.yaml").write_text(f"models: {json.dumps(SOURCES)}\nweights: {rows}\n")
    run("song.wav", "-n", "bag.yaml", "--two-stems", "vocals", "--other-method", method)
    err = capsys.readouterr().err
    assert f"bag.yaml is a bag of 4 models, {needed} of them are needed" in err
    assert ("--other-method minus would need 1 of them" in err) == (method == "add")
    ended = re.findall(r"100%[^\r\n]*\n", err)  # a bar may draw its last state twice
    assert len(ended) == needed


def test_the_settings_are_those_of_the_library() -> None:
    """What the command and a Separator do if nothing is said, and the engines, by their names."""
    given = vars(options.parsers()[0].parse_args(["separate", "song.wav"]))
    defaults = {name: value for name, value in vars(Settings()).items() if name in given}
    assert {name: given[name] for name in defaults} == defaults
    assert set(vars(Settings())) - set(given) == {
        *("progress", "callback", "callback_arg"),  # the command has its own
        "transition_power",  # as the reference's command, it has none
    }
    for engine in set(get_args(Engine)) - {"litert", "onnx"}:  # they take files, not models
        assert Separator(FakeTF(), engine=engine, shifts=0).separate_tensor(noise(2, 300))


def test_the_end_says_what_became_of_all(
    album: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("album/loop.wav").symlink_to("loop.wav")
    run("album", "-n", checkpoint, "--shifts", "0", status=1)
    Path("separated/tiny/b/bass.wav").unlink()
    err = capsys.readouterr().err.splitlines()
    counted = [line for line in err if line.startswith("[")]
    names = ("a.wav", "b.flac", "two/c.wav")
    assert counted == [f"[{n}/3] Separating album/{name}" for n, name in enumerate(names, 1)]
    end = err.index("4 tracks: 3 done, 1 failed")
    [failed] = err[end + 1 :]
    assert failed.startswith("  failed: album/loop.wav: it can't be opened: ")
    run("album", "-n", checkpoint, "--shifts", "0", "--resume", status=1)
    assert "4 tracks: 1 done, 2 skipped, 1 failed" in capsys.readouterr().err


def test_two_albums_with_the_same_names(folder: Path, checkpoint: Path) -> None:
    for album in ("A", "B"):
        Path("lib", album).mkdir(parents=True)
        Path("lib", album, "01.wav").write_bytes(Path("song.wav").read_bytes())
    run("lib", "-n", checkpoint, "--shifts", "0")
    assert files("separated") == sorted(f"tiny/{a}/01/{n}.wav" for a in "AB" for n in SOURCES)
