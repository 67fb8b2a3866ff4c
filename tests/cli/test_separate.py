"""`demucs-tf separate` as a user meets it: files, messages, exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from demucs_tf.audio.reader import open_audio, read_audio
from demucs_tf.audio.writer import prevent_clip
from demucs_tf.cli import outputs
from demucs_tf.cli import separate as cli_separate
from demucs_tf.cli.main import main
from demucs_tf.cli.terminal import UsageError
from demucs_tf.errors import AudioError
from demucs_tf.inference import separator
from demucs_tf.utils.interrupts import check
from parity.core.compare import snr_db
from tests.audio.test_reader_writer import largest_file
from tests.support.fakes import noise

pytestmark = pytest.mark.usefixtures("sigint_heard")
SOURCES = ["drums", "bass", "other", "vocals"]
RATE = 8000


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Demucs with random weights, saved as tiny.keras."""
    import keras

    from demucs_tf import DemucsTF

    keras.utils.set_random_seed(0)
    model = DemucsTF(SOURCES, channels=4, depth=2, dconv_mode=0, samplerate=RATE, segment=1)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.keras"
    model.save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, with a stereo track of 2 s in it."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", noise(2, 2 * RATE).T, RATE, subtype="FLOAT")
    return tmp_path


def files(path: Path | str) -> list[str]:
    """Every file below `path`, hidden ones too."""
    return sorted(str(p.relative_to(path)) for p in Path(path).rglob("*") if p.is_file())


def stems(path: str = "separated/tiny/song", suffix: str = ".wav") -> dict[str, Any]:
    return {p.stem: read_audio(p)[0] for p in Path(path).glob(f"*{suffix}")}


def run(*arguments: str | Path, status: int = 0) -> None:
    assert main(["separate", *map(str, arguments)]) == status


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What is printed with exit status 2."""
    with pytest.raises(SystemExit) as exit_:
        main(["separate", *map(str, arguments)])
    assert exit_.value.code == 2
    return capsys.readouterr().err


# --- what is written ----------------------------------------------------------------------


def test_writes_every_stem_and_prints_where(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("song.wav", "-n", checkpoint, "--seed", "1", "-v")
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"separated/tiny/song/{name}.wav" for name in SOURCES]
    assert files("separated") == [f"tiny/song/{name}.wav" for name in sorted(SOURCES)]
    assert "Separating song.wav" in err
    assert "100%" in err
    assert "song.wav: 2 channels at 8000 Hz, 2.0 s, done in" in err
    info = soundfile.info("separated/tiny/song/bass.wav")
    assert (info.samplerate, info.channels, info.frames) == (RATE, 2, 2 * RATE)
    assert info.subtype == "PCM_16"


def test_stems_are_those_of_the_separator(folder: Path, checkpoint: Path) -> None:
    from demucs_tf import Separator

    options = ("--overlap", "0.4", "--shifts", "2", "--segment", "0.7", "--seed", "5")
    run("song.wav", "-n", checkpoint, "--float32", *options)
    separator = Separator(str(checkpoint), overlap=0.4, shifts=2, segment=0.7, seed=5)
    _, wanted = separator.separate_file("song.wav")
    for name, stem in stems().items():
        assert np.array_equal(stem, prevent_clip(wanted[name]))


def test_float64_differs_from_float32_by_rounding(folder: Path, checkpoint: Path) -> None:
    common = ("song.wav", "-n", checkpoint, "--shifts", "0", "--float32", "--clip-mode", "none")
    run(*common)
    run(*common, "--dtype", "float64", "-o", "double")
    single, double = stems(), stems("double/tiny/song")
    for name in SOURCES:
        assert 90 < snr_db(single[name], double[name]) < 200


@pytest.mark.parametrize(
    ("options", "suffix", "subtype"),
    [
        ((), ".wav", "PCM_16"),
        (("--int24",), ".wav", "PCM_24"),
        (("--float32",), ".wav", "FLOAT"),
        (("--flac",), ".flac", "PCM_16"),
        (("--flac", "--int24"), ".flac", "PCM_24"),
    ],
)
def test_formats(
    folder: Path, checkpoint: Path, options: tuple[str, ...], suffix: str, subtype: str
) -> None:
    run("song.wav", "-n", checkpoint, "--shifts", "0", "--no-split", *options)
    assert len(stems(suffix=suffix)) == 4
    assert soundfile.info(f"separated/tiny/song/drums{suffix}").subtype == subtype


@pytest.mark.parametrize(
    ("method", "rest"), [("add", "no_bass"), ("minus", "minus_bass"), ("none", None)]
)
def test_two_stems(folder: Path, checkpoint: Path, method: str, rest: str | None) -> None:
    exact = ("-n", checkpoint, "--shifts", "0", "--float32", "--clip-mode", "none")
    run("song.wav", *exact, "-o", "all")
    every = stems("all/tiny/song")
    run("song.wav", *exact, "--two-stems", "bass", "--other-method", method)
    found = stems()
    assert set(found) == {"bass", rest} - {None}
    assert np.array_equal(found["bass"], every["bass"])
    origin, _ = read_audio("song.wav")
    if method == "add":
        others = every["drums"] + every["other"] + every["vocals"]
        assert np.array_equal(found["no_bass"], others)
    elif method == "minus":
        assert np.array_equal(found["minus_bass"], origin - every["bass"])


def test_filename_template(folder: Path, checkpoint: Path) -> None:
    template = "{stem}/{track} of {trackext}.{ext}"
    run("song.wav", "-n", checkpoint, "--filename", template, "--two-stems", "bass")
    assert files("separated/tiny") == ["bass/song of wav.wav", "no_bass/song of wav.wav"]


def test_mono_of_another_rate(folder: Path, checkpoint: Path) -> None:
    soundfile.write("mono.flac", noise(1, 44100).T, 44100)
    run("mono.flac", "-n", checkpoint)
    assert soundfile.info("separated/tiny/mono/drums.wav").frames == RATE


# --- what goes wrong with a track -----------------------------------------------------------


def test_a_bad_track_does_not_stop_the_others(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.wav").write_text("no audio " * 20)
    Path("cut.wav").write_bytes(Path("song.wav").read_bytes()[:-1000])
    run("missing.wav", "text.wav", "cut.wav", "song.wav", "-n", checkpoint, status=1)
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert [line.split(":")[1].strip() for line in errors] == ["missing.wav", "text.wav", "cut.wav"]
    assert "Traceback" not in err
    assert len(out.splitlines()) == len(files("separated")) == 4


def test_a_missing_track_counts_when_the_rest_is_done(folder: Path, checkpoint: Path) -> None:
    run("missing.wav", "song.wav", "-n", checkpoint, status=1)
    assert len(stems()) == 4


def test_debug_shows_the_traceback(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("missing.wav", "-n", checkpoint, "--debug", status=1)
    assert "Traceback" in capsys.readouterr().err


def test_missing_tracks_are_found_before_tensorflow_is_imported(folder: Path) -> None:
    code = (
        "import sys; from demucs_tf.cli.main import main; "
        "print(main(['separate', 'missing.wav', '-n', 'x.th']), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


@pytest.mark.parametrize("name", [".hidden", "...wav"])
def test_names_that_would_leave_the_folder(
    folder: Path, checkpoint: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`.hidden` makes {track} empty and the path absolute; `...wav` makes it `..`."""
    Path("song.wav").rename(name)
    run(name, "-n", checkpoint, status=1)
    assert f"error: {name}: its name would put" in capsys.readouterr().err
    assert files(".") == [name]


def test_a_full_disk_leaves_nothing(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first stem fits, the second, which is twice as large here, does not."""
    run("song.wav", "-n", checkpoint)  # so that everything is imported and traced
    before = {name: Path(name).read_bytes() for name in files(".")}
    capsys.readouterr()
    with largest_file(20_000):
        run("song.wav", "-n", checkpoint, "--float32", status=1)
        run("song.wav", "-n", checkpoint, "-o", "new", status=1)
    err = capsys.readouterr().err
    assert err.count("error: ") == 2
    assert err.count("can't write it: File too large") == 2
    assert {name: Path(name).read_bytes() for name in files(".")} == before
    assert not Path("new").exists()


def test_no_error_is_glued_to_a_bar(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The track fits on the disk, the sum of its stems over the shifts does not."""
    with largest_file(200_000):
        run("song.wav", "-n", checkpoint, "--shifts", "2", status=1)
    *bars, last = capsys.readouterr().err.splitlines()
    assert any("shift 1 of 2" in line for line in bars)
    assert last.startswith("error: song.wav: ")
    assert "File too large" in last
    assert files(".") == ["song.wav"]


def test_finished_stems_are_moved_all_or_none(folder: Path) -> None:
    Path("0.wav").write_bytes(b"x")
    Path("file").touch()
    files_ = {Path("out/new/a.wav"): Path("0.wav"), Path("file/b.wav"): Path("1.wav")}
    with pytest.raises(outputs.AudioError, match=r"file/b\.wav: can't write it: "):
        outputs.place(files_)
    assert files(".") == ["0.wav", "file", "song.wav"]
    assert not Path("out").exists()


def test_a_stem_that_can_not_be_placed_leaves_all_as_before(folder: Path) -> None:
    for name in ("0.wav", "1.wav", "2.wav"):
        Path(name).write_bytes(b"new")
    Path("out/c.wav").mkdir(parents=True)
    Path("out/a.wav").write_bytes(b"old")
    before = files("out")
    with pytest.raises(outputs.AudioError, match=r"out/c\.wav: can't write it: "):
        outputs.place({Path(f"out/{x}.wav"): Path(f"{i}.wav") for i, x in enumerate("abc")})
    assert files("out") == before
    assert Path("out/a.wav").read_bytes() == b"old"


def test_every_error_names_its_track(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("one.wav", noise(1, 1).T, RATE)
    soundfile.write("odd.wav", noise(2, 400).T, 96000)
    run("one.wav", "odd.wav", "song.wav", "-n", checkpoint, "--mp3", "--rate", "keep", status=1)
    errors = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    assert len(errors) == 2
    assert errors[0].startswith("error: one.wav: ")
    assert errors[1].startswith("error: odd.wav: MP3 has 8000, ")
    assert len(files("separated")) == 4


def test_a_name_that_is_too_long_does_not_stop_the_others(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("x" * 300, "song.wav", "-n", checkpoint, status=1)
    assert "x: it can't be opened: File name too long" in capsys.readouterr().err
    assert len(files("separated")) == 4
    Path(250 * "y" + ".wav").write_bytes(Path("song.wav").read_bytes())
    template = "{track}/{track}, {stem}.{ext}"
    run(250 * "y" + ".wav", "song.wav", "-n", checkpoint, "--filename", template, status=1)
    err = capsys.readouterr().err
    assert "can't write it: File name too long" in err
    assert "Separating yy" not in err
    assert len(files("separated")) == 8


@pytest.mark.skipif(sys.platform != "linux", reason="names there are any bytes")
def test_a_name_that_is_no_text(
    folder: Path, checkpoint: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    name = os.fsdecode(b"\xff.wav")
    os.rename("song.wav", name)
    run(name, "-n", checkpoint)
    assert b"separated/tiny/\xff/drums.wav\n" in capfdbinary.readouterr().out
    assert len(files("separated")) == 4


@pytest.mark.parametrize(
    ("redirect", "said"),
    [
        (">&-", ""),
        (">/dev/full", "warning: can't print the paths of the stems: "),
        (">list", ""),
    ],
)
def test_stdout_is_no_reason_to_stop(
    folder: Path, checkpoint: Path, redirect: str, said: str
) -> None:
    """Closed, full, and of an encoding that lacks the letters of a name."""
    os.link("song.wav", "歌.wav")
    command = f"{sys.executable} -m demucs_tf separate 歌.wav song.wav -n {checkpoint} {redirect}"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment, check=True
    )
    assert len(files("separated")) == 8
    assert said in done.stderr
    assert "error" not in done.stderr
    if redirect == ">list":
        assert "separated/tiny/\\u6b4c/drums.wav" in Path("list").read_text().splitlines()


def test_a_link_in_the_output_folder(folder: Path, checkpoint: Path) -> None:
    """`..` behind a link is the parent of what it leads to, as everywhere."""
    Path("real/deep").mkdir(parents=True)
    os.symlink("real/deep", "link")
    run("song.wav", "-n", checkpoint, "-o", "link/../out")
    assert len(files("real/out/tiny/song")) == 4
    assert not Path("out").exists()


def test_one_stem_needs_no_name_of_its_own(folder: Path, checkpoint: Path) -> None:
    options = ("--two-stems", "bass", "--other-method", "none", "--filename", "{track}.{ext}")
    run("song.wav", "-n", checkpoint, *options)
    assert files("separated") == ["tiny/song.wav"]


def test_nobody_reads_what_is_printed(folder: Path, checkpoint: Path) -> None:
    """A pipe whose reader is gone; the second track is separated all the same."""
    os.link("song.wav", "two.wav")
    command = f"{sys.executable} -m demucs_tf separate song.wav two.wav -n {checkpoint}"
    done = subprocess.run(
        ["bash", "-c", f"{command} --report r.json | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0\n"
    assert "error" not in done.stderr
    assert Path("r.json").read_text().count('"done"') == 2
    assert len(files("separated")) == 8
    listing = f"{sys.executable} -m demucs_tf list | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", listing], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("141\n", "")


def blamed_on_a_file() -> Exception:
    error = AudioError("song.wav: the file is damaged (MemoryError). Get it again.")
    error.__cause__ = MemoryError("Unable to allocate 9 GiB")
    return error


def out_of_memory() -> Exception:
    import tensorflow as tf

    return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating [Op:Mul] name: ")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RuntimeError("one\ntwo"), "RuntimeError: one two (--debug shows where)"),
        (MemoryError, "not enough memory (the system gives no more): choose a shorter --segment,"),
        (lambda: MemoryError("Unable to allocate 9 GiB"), "not enough memory (Unable to allocate"),
        (blamed_on_a_file, "not enough memory (Unable to allocate"),
        (out_of_memory, "not enough memory (OOM when allocating): choose a shorter --segment,"),
    ],
)
def test_unforeseen_errors_are_one_line(
    folder: Path,
    checkpoint: Path,
    make: Callable[[], Exception],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise make()

    monkeypatch.setattr(outputs, "place", fail)
    run("song.wav", "-n", checkpoint, status=1)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: song.wav: {message}")
    assert files(".") == ["song.wav"]


def test_too_little_memory_for_anything_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise MemoryError

    monkeypatch.setattr("demucs_tf.cli.options.parsers", fail)
    assert main(["list"]) == 1
    assert capsys.readouterr().err == "error: not enough memory\n"


# --- what goes wrong before a track ---------------------------------------------------------


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


@pytest.mark.parametrize("options", [[], ["--flac"], ["--mp3", "--mp3-bitrate", "64"]])
@pytest.mark.parametrize("rate", ["model", "keep"])
def test_stems_have_the_tags_of_their_track(
    folder: Path, checkpoint: Path, options: list[str], rate: str
) -> None:
    with soundfile.SoundFile("song.flac", "w", RATE, 2) as song:
        song.title, song.artist, song.tracknumber = "A \x1b[31m song", "Someone", "3"
        song.write(noise(2, RATE).T)
    both = ["-n", str(checkpoint), "--seed", "1", "--rate", rate, *options]
    run("song.flac", *both)
    run("song.flac", *both, "-o", "again")
    paths = sorted(Path("separated").rglob("*.*"))
    assert [path.stem for path in paths] == sorted(SOURCES)
    for path in paths:
        with open_audio(path) as audio:
            title = f"A  [31m song ({path.stem})"
            assert audio.tags == {"title": title, "artist": "Someone", "tracknumber": "3"}
        assert path.read_bytes() == Path("again", *path.parts[1:]).read_bytes()


# --- the process ------------------------------------------------------------------------------


def test_help_is_quick_and_needs_no_tensorflow() -> None:
    code = (
        "import sys; from demucs_tf.cli.main import main\n"
        "try: main(['separate', '--help'])\n"
        "finally: print({'tensorflow', 'keras', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    seconds = []
    for _ in range(3):
        start = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        seconds.append(time.monotonic() - start)
    assert done.returncode == 0
    assert done.stderr.strip() == "set()"
    assert "--two-stems" in done.stdout
    assert min(seconds) <= 0.5


def start(checkpoint: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "demucs_tf", "separate", "song.wav", "-n", str(checkpoint)]
    pipe = subprocess.PIPE
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.Popen(
        [*command, *options], stdout=pipe, stderr=pipe, text=True, env=environment
    )


TELLS = """
import sys
from demucs_tf.cli.main import main
from demucs_tf.utils.interrupts import raising_signals

def enter(self):
    entered(self)
    print("now", flush=True)

entered, raising_signals.__enter__ = raising_signals.__enter__, enter
sys.exit(main())
"""
SIGNALS = pytest.mark.parametrize(
    ("number", "status", "last"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, None)],
)


@SIGNALS
@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1, 0.3, 1.0, 2.5])
def test_signals_at_any_time(
    folder: Path,
    checkpoint: Path,
    number: signal.Signals,
    status: int,
    last: str | None,
    after: float,
) -> None:
    """Seconds after `main` has put its handlers up: while it imports, loads, or separates."""
    command = [sys.executable, "-c", TELLS, "separate", "song.wav", "-n", str(checkpoint)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, "--shifts", "100000"], stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        time.sleep(after)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    assert last is None or err.splitlines()[-1] == last
    assert files(".") == ["song.wav"]


@SIGNALS
def test_signals_stop_without_leftovers(
    folder: Path, checkpoint: Path, number: signal.Signals, status: int, last: str | None
) -> None:
    with start(checkpoint, "--shifts", "100000") as process:
        assert process.stderr is not None
        while "Separating" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(1)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    assert last is None or err.splitlines()[-1] == last
    assert files(".") == ["song.wav"]


@SIGNALS
@pytest.mark.parametrize("error", [OSError, ValueError])
@pytest.mark.parametrize("at", ["_separator", "load_model", "_separate", "place"])
def test_what_a_library_makes_of_a_signal_is_no_error(
    folder: Path,
    checkpoint: Path,
    number: signal.Signals,
    status: int,
    last: str | None,
    error: type[Exception],
    at: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TensorFlow turns what is raised while it traces into errors of its own."""

    def interrupted(*_: Any, **__: Any) -> None:
        try:
            signal.raise_signal(number)
            check()
        except KeyboardInterrupt as found:
            raise error("'SymbolicTensor' object has no attribute '_type_spec'") from found

    owner = {"load_model": separator, "place": outputs}.get(at, cli_separate)
    monkeypatch.setattr(owner, at, interrupted)
    arguments = ["separate", "song.wav", "song.wav", "-n", str(checkpoint)]
    if status == 130:
        assert main(arguments) == status
    else:
        with pytest.raises(SystemExit, match=str(status)):
            main(arguments)
    err = capsys.readouterr().err
    assert "error" not in err
    assert last is None or err.splitlines()[-1] == last
    assert files(".") == ["song.wav"]


def test_interrupt_while_writing_leaves_nothing(
    folder: Path,
    checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from demucs_tf.audio.writer import StemWriter

    calls = []
    write = StemWriter.write

    def interrupted(self: StemWriter, block: Any) -> None:
        calls.append(block)
        if len(calls) == 7:
            raise KeyboardInterrupt
        write(self, block)

    monkeypatch.setattr(StemWriter, "write", interrupted)
    run("song.wav", "-n", checkpoint, status=130)
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert files(".") == ["song.wav"]


def test_as_a_program_it_prints_nothing_else(folder: Path, checkpoint: Path) -> None:
    with start(checkpoint) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.splitlines() == [f"separated/tiny/song/{name}.wav" for name in SOURCES]
    lines = [line for line in err.splitlines() if line.strip() and "%|" not in line]
    assert lines == ["Separating song.wav"], "no notes of TensorFlow's"
