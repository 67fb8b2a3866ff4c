"""`demucs-tf separate`: what is asked of it, and what it says of names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from demucs_tf.cli.main import main
from demucs_tf.errors import UsageError
from demucs_tf.inference.graphs import precision
from demucs_tf.tracks import outputs
from tests.support.command import files, refused, run
from tests.support.fakes import with_processor


@pytest.mark.parametrize("out", ["song.wav", "song.wav/deep", "/proc/none", "n" * 256, "loop"])
def test_output_folder_that_can_not_be(
    folder: Path, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("loop").symlink_to("loop")
    run("song.wav", "-n", "never looked at.th", "-o", out, status=1)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "folder" in line


def test_missing_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("song.wav", "-n", "missing.th", status=1)
    [line] = capsys.readouterr().err.splitlines()
    assert line == "error: missing.th: no such file. Check the path of the checkpoint."
    assert files(".") == ["song.wav"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--overlap", "1"), "overlap must be at least 0 and below 1, got 1.0"),
        (("--shifts", "-1"), "shifts must be from 0 to 1000000, got -1"),
        (("--shifts", "many"), "invalid int value"),
        (("--segment", "0"), "segment must be from 0.01 to 300 seconds, got 0.0"),
        (("--segment", "0.0001"), "segment must be from 0.01 to 300 seconds, got 0.0001"),
        (("--segment", "3600"), "segment must be from 0.01 to 300 seconds, got 3600"),
        (("--segment", "3", "--no-split"), "not allowed with"),
        (("--int24", "--float32"), "not allowed with"),
        (("--stems", "drums", "--two-stems", "drums"), "not allowed with"),
        (("--float32", "--flac"), "--float32 and --flac exclude each other"),
        (("--float32", "--mp3"), "--float32 and --mp3 exclude each other"),
        (("--mp3", "--flac"), "not allowed with"),
        (("--mp3-preset", "1"), "invalid choice: 1"),
        (("--engine", "steam"), "invalid choice: 'steam'"),
        (("--precision", "float16"), "invalid choice: 'float16'"),
        (("-s", "x", "-n", "x"), "not allowed with"),
        (("--jobs", "-1"), "num_workers must be 0 or more, got -1"),
        (("--filename", "{track}.{ext}"), "lacks {stem}"),
        (("--filename", "{stem}{0}.{ext}"), "has {0}; expected only {folder}, {track}, {trackext}"),
        (("--filename", "{stem.x}.{ext}"), "has {stem.x}"),
        (("--filename", "{stem"), "--filename '{stem': "),
        (("--filename", "{stem}.mp3"), "must end in .wav"),
        (("--filename", "{stem:d}.{ext}"), "can't be filled in: "),
        (("--filename", "{stem!z}.{ext}"), "can't be filled in: "),
        (("--filename", "{stem:{x}}.{ext}"), "can't be filled in: 'x'"),
        (("--mp3", "--mp3-bitrate", "5"), "bitrate must be 8 to 320 kbit/s, got 5"),
        (("--filename", "../{stem}.{ext}"), "leads out of the output folder"),
        (("--filename", "/{stem}.{ext}"), "leads out of the output folder"),
        (("--filename", "a/../../{stem}.{ext}"), "leads out of the output folder"),
        (("-o", ".", "-n", "..", "--filename", "{stem}.{ext}"), "does not name a model"),
    ],
)
def test_wrong_usage_is_found_before_the_model_is_loaded(
    folder: Path,
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    err = refused(capsys, "-n", "x", *options, "--", "song.wav")
    assert message in err
    assert len(err.splitlines()) <= 4


def test_tracks_of_the_same_name(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("song.flac").write_bytes(Path("song.wav").read_bytes())
    err = refused(capsys, "song.wav", "./song.wav", "song.flac", "-n", checkpoint)
    better = "{folder}/{track}.{trackext}/{stem}.{ext}"
    assert (
        "song.wav and song.flac would both be written to separated/tiny/song/drums.wav. Tell them "
        f"apart by --filename '{better}', or separate them into different folders (-o)."
    ) in err
    assert files(".") == ["song.flac", "song.wav"]
    run("song.wav", "song.flac", "-n", checkpoint, "--filename", better, "--stems", "drums")
    assert files("separated") == ["tiny/song.flac/drums.wav", "tiny/song.wav/drums.wav"]


@pytest.mark.parametrize(
    ("others", "template", "advice"),
    [
        ("sub/song.wav", "{folder}/{track}/{stem}.wav", "Separate them into"),
        ("song.flac", "{track}_{stem}.wav", "--filename '{track}.{trackext}_{stem}.wav', or"),
        ("sub", "{track}/{stem}.wav", "--filename '{folder}/{track}/{stem}.wav', or"),
    ],
)
def test_how_tracks_of_the_same_name_are_told_apart(
    folder: Path, others: str, template: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("sub/deeper").mkdir(parents=True)
    for name in ("song.flac", "sub/song.wav", "sub/deeper/song.wav"):
        Path(name).write_bytes(Path("song.wav").read_bytes())
    tracks = ["song.wav", others] if Path(others).is_file() else [others]
    assert advice in refused(capsys, *tracks, "-n", "x", "--filename", template)


def test_a_stem_that_the_model_lacks(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, "song.wav", "-n", checkpoint, "--two-stems", "piano")
    assert "--two-stems piano: the model has drums, bass, other, vocals." in err


def test_an_input_is_never_overwritten(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tiny/a").mkdir(parents=True)
    Path("song.wav").rename("tiny/a/drums.wav")
    Path("tiny/a.wav").write_bytes(Path("tiny/a/drums.wav").read_bytes())
    err = refused(capsys, "tiny/a.wav", "tiny/a/drums.wav", "-n", checkpoint, "-o", ".")
    assert "tiny/a/drums.wav is a track to separate and would be overwritten" in err


def test_model_folder_is_the_references(tmp_path: Path) -> None:
    path = tmp_path / "955717e8-87e53c9b.th"
    path.touch()
    assert outputs.model_folder(str(path)) == "955717e8-87e53c9b"
    assert outputs.model_folder("hf://someuser/somemodel") == "someuser_somemodel"
    with pytest.raises(UsageError):
        outputs.model_folder("")


def test_without_a_command_it_separates(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("song.wav").rename("song")
    for arguments in (["song", "-n", checkpoint], ["-n", checkpoint, "-o", "other", "song"]):
        assert main(list(map(str, arguments))) == 0
    assert len(files("separated/tiny/song")) == len(files("other/tiny/song")) == 4
    assert main(["none.wav"]) == 1
    assert "error: none.wav: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sepparate", "song.wav"], "'sepparate' is no file, and no command of separate, convert"),
        (["sepparate", "song.wav"], "Did you mean separate?"),
        (["sing"], "'sing' is no file, and no command"),
        (["convert"], "the following arguments are required: IN, OUT"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_what_is_no_command(
    folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert message in capsys.readouterr().err


def test_names_can_not_write_to_the_terminal(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("song.wav").rename("a\x1b[31m\nb.wav")
    run("a\x1b[31m\nb.wav", "-n", checkpoint, "-v")
    run("a\x1b[31m\nb.wav", "-n", checkpoint, "--resume")
    err = capsys.readouterr().err
    assert "\x1b" not in err.replace("\x1b[A", "")  # which moves the bar
    for text in ("Separating", "Done already:"):
        assert rf"{text} a\x1b[31m\nb.wav" in err


def test_a_precision_that_the_processor_lacks(
    folder: Path,
    checkpoint: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_processor(folder, monkeypatch, None, {})
    precision._warn_once.cache_clear()
    run("song.wav", "-n", checkpoint, "--precision", "bfloat16")
    [record] = caplog.records  # which goes to stderr where nobody listens
    assert "products stay in float32" in record.message
    assert len(files("separated")) == 4


EVIL = "a\x1b[31m\nb\u202e\x9b"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["separate", "song.wav", f"{EVIL}.wav", "-n", "CHECKPOINT", "--debug"], 1),
        (["separate", EVIL, f"{EVIL}/*.wav", "-n", "CHECKPOINT", "--report", "r.json"], 1),
        (["separate", "song.wav", "-n", "CHECKPOINT", "-o", EVIL, "-v"], 0),
        (["separate", "song.wav", "-n", f"{EVIL}.th"], 1),
        (["separate", "song.wav", "-n", "x", "--repo", EVIL], 1),
        (["separate", "song.wav", f"--{EVIL}"], 2),
        (["separate", "song.wav", "--seed", EVIL], 2),
        (["separate", "song.wav", "--filename", f"{EVIL}{{x"], 2),
        (["separate", "song.wav", "--report", f"{EVIL}/x/r.json"], 2),
        (["separate", "song.wav", "-n", "CHECKPOINT", "--stems", EVIL], 2),
        ([f"{EVIL}x"], 1),
        (["convert", "CHECKPOINT", f"{EVIL}.safetensors"], 0),
        (["convert", "CHECKPOINT", EVIL], 2),
        (["info", f"{EVIL}.keras"], 0),
        (["info", f"{EVIL}.th"], 1),
    ],
)
def test_nothing_raw_on_the_terminal(
    folder: Path,
    checkpoint: Path,
    arguments: list[str],
    status: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names of files are text from anywhere: downloads, archives, shared folders."""
    Path(EVIL).mkdir()
    Path(f"{EVIL}.wav").write_text("no audio")
    Path(f"{EVIL}.keras").write_bytes(checkpoint.read_bytes())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    try:
        found: Any = main([each.replace("CHECKPOINT", str(checkpoint)) for each in arguments])
    except SystemExit as exit_:
        found = exit_.code
    out, err = capsys.readouterr()
    assert found == status, err
    text = (out + err).replace("\x1b[A", "")  # which moves the bar
    assert not set(text) & set("\x1b\u202e\x9b")
    assert r"a\x1b[31m" in text
    assert r"\u202e\x9b" in text
    assert "--debug" in arguments or not any(x.startswith("b") for x in text.splitlines())
