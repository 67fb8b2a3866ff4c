"""`demucs-tf separate`: what it writes, and what goes wrong with a track."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from demucs_tf.audio.reader import open_audio, read_audio
from demucs_tf.audio.writer import prevent_clip
from demucs_tf.cli.main import main
from demucs_tf.errors import AudioError
from demucs_tf.tracks import outputs
from parity.core.compare import snr_db
from tests.audio.test_reader_writer import largest_file
from tests.support.command import RATE, SOURCES, files, run, stems
from tests.support.fakes import noise

pytestmark = pytest.mark.usefixtures("sigint_heard")


# --- what is written ----------------------------------------------------------------------


def test_products_are_not_rounded_to_tf32(folder: Path, checkpoint: Path) -> None:
    import tensorflow as tf

    rounding = tf.config.experimental
    rounding.enable_tensor_float_32_execution(True)  # as TensorFlow starts
    try:
        run("song.wav", "-n", checkpoint)
        assert not rounding.tensor_float_32_execution_enabled()
    finally:
        rounding.enable_tensor_float_32_execution(True)


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
