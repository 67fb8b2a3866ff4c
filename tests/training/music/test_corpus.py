"""From notes to MIDI, and to a folder of pieces, with a stand-in for FluidSynth."""

from __future__ import annotations

from pathlib import Path

import filelock
import numpy as np
import pytest
import soundfile

from examples.music import corpus
from examples.music.__main__ import main
from examples.music.compose.piece import compose
from examples.music.compose.score import STEMS, Note, Part
from examples.music.corpus import Order, write
from examples.music.instruments import FONTS, Preset
from examples.music.render import fluidsynth
from examples.music.render.fluidsynth import MissingProgramError, check_installed, midi_file, play
from tests.training.music.test_effects import FLAT

SHORT = ["--pieces", "2", "--seconds", "10"]


def part_of(*notes: Note, stem: str = "other", bank: int = 0) -> Part:
    return Part(stem, "keys", Preset("tim", bank, 4), notes, FLAT)


def test_midi_has_the_preset_and_the_notes() -> None:
    notes = (Note(0.0, 1.0, 60, 90), Note(0.5, 0.25, 64, 80))
    file = midi_file(part_of(*notes, bank=8), tempo=90.0, seconds=10.0)
    messages = [m for m in file.tracks[0] if not m.is_meta]
    assert [(m.type, m.channel) for m in messages[:2]] == [
        ("control_change", 0),
        ("program_change", 0),
    ]
    assert (messages[0].control, messages[0].value, messages[1].program) == (0, 8, 4)
    at, heard = 0, []
    for message in messages[2:]:
        at += message.time
        heard.append((at / 960, message.type, message.note))
    assert heard == [
        (0.0, "note_on", 60),
        (0.5, "note_on", 64),
        (0.75, "note_off", 64),
        (1.0, "note_off", 60),
    ]
    assert file.length == pytest.approx(12.0, abs=0.01)


def test_a_note_ends_where_the_next_of_its_pitch_begins() -> None:
    file = midi_file(part_of(Note(0, 4, 60, 90), Note(1, 4, 60, 90)), tempo=60.0, seconds=10.0)
    at, heard = 0, []
    for message in file.tracks[0]:
        at += message.time
        if message.type.startswith("note"):
            heard.append((at / 960, message.type))
    assert heard == [(0, "note_on"), (1, "note_off"), (1, "note_on"), (5, "note_off")]


def test_drums_are_on_the_drum_channel() -> None:
    track = midi_file(part_of(Note(0, 1, 36, 90), stem="drums", bank=128), 120.0, 10.0).tracks[0]
    assert {m.channel for m in track if not m.is_meta} == {9}
    assert not [m for m in track if m.type == "control_change"]


@pytest.mark.usefixtures("stand_in")
def test_notes_are_played_in_time() -> None:
    heard = play(part_of(Note(1.0, 1.0, 60, 127), Note(4.0, 1.0, 60, 127)), 120.0, 2.5)
    assert heard.shape == (round(2.5 * 44100), 2)
    clicks = np.flatnonzero(heard[:, 0])
    assert np.abs(clicks - [22050, 88200]).max() <= 1


def test_a_missing_program_is_named_with_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SOUNDFONTS", f"{tmp_path / 'none'}:{tmp_path}")
    (tmp_path / FONTS["tim"].file).touch()
    with pytest.raises(MissingProgramError) as caught:
        check_installed()
    assert str(caught.value).endswith(
        "apt-get install fluidsynth fluid-soundfont-gm musescore-general-soundfont-lossless"
    )


def test_the_command_says_what_is_missing(
    stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stand_in / FONTS["fluid"].file).unlink()
    assert main([str(tmp_path / "music"), *SHORT]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: expected the program fluidsynth")
    assert message.endswith("apt-get install fluid-soundfont-gm\n")
    assert not (tmp_path / "music").exists()


@pytest.mark.parametrize(
    ("state", "text", "jobs"),
    [("broken", "Not a SoundFont file", "1"), ("empty", "Instrument not found", "2")],
)
def test_a_font_that_cannot_play_is_an_error(
    stand_in: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    state: str,
    text: str,
    jobs: str,
) -> None:
    for font in FONTS.values():
        (stand_in / font.file).write_text(state)
    assert main([str(tmp_path / "music"), *SHORT, "--jobs", jobs]) == 1
    assert text in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "music" / "train").iterdir()) == [".lock"]


@pytest.mark.usefixtures("stand_in")
def test_a_corpus_has_musdbs_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--split", "test", *SHORT]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'test'}: 2 pieces written, 0 were there\n"
    for name in ("test-0-0000", "test-0-0001"):
        read = {}
        for stem in (*STEMS, "mixture"):
            path = tmp_path / "test" / name / f"{stem}.wav"
            read[stem], rate = soundfile.read(path, dtype="int16")
            assert rate == 44100
            assert soundfile.info(path).subtype == "PCM_16"
            assert read[stem].shape == (441000, 2)
            assert read[stem].any() or stem != "mixture"
        total = sum(read[stem].astype(np.int64) for stem in STEMS)
        assert np.array_equal(read["mixture"], total)
        assert np.abs(total).max() <= 29492


@pytest.mark.usefixtures("stand_in")
def test_the_same_seed_gives_the_same_bytes_and_whole_pieces_stay(tmp_path: Path) -> None:
    first, second = Order(tmp_path / "a", "valid", 1, 10.0), Order(tmp_path / "b", "valid", 1, 10.0)
    (written,) = list(write(second))
    for _ in write(first, jobs=2):
        pass
    for stem in STEMS:
        file = f"{stem}.wav"
        assert (written / file).read_bytes() == (first.path_of(0) / file).read_bytes()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}
    assert list(write(first)) == []
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}


@pytest.mark.usefixtures("stand_in")
def test_a_piece_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order, real, count = Order(tmp_path, "train", 1, 10.0, kind="flac"), soundfile.write, 0

    def full(*arguments: object) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise OSError("No space left on device")
        real(*arguments)

    monkeypatch.setattr(corpus.soundfile, "write", full)
    with pytest.raises(OSError, match="No space left"):
        list(write(order))
    assert [p.name for p in (tmp_path / "train").iterdir()] == [".lock"]
    order.hidden(0).mkdir()  # of a run that was killed
    (written,) = list(write(order))
    assert len(list(written.glob("*.flac"))) == 5
    assert not order.hidden(0).exists()


@pytest.mark.usefixtures("stand_in")
def test_two_processes_do_not_write_to_one_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train").mkdir()
    with filelock.FileLock(tmp_path / "train" / ".lock"):
        assert main([str(tmp_path), *SHORT]) == 1
    assert "another process writes pieces here" in capsys.readouterr().err
    assert main([str(tmp_path), "--pieces", "1", "--seconds", "10"]) == 0


@pytest.mark.usefixtures("stand_in")
def test_ctrl_c_leaves_whole_pieces_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus.soundfile, "write", interrupted)
    assert main([str(tmp_path), *SHORT]) == 130
    assert capsys.readouterr().err.endswith(
        "interrupted; the next run goes on with the pieces that are missing\n"
    )
    assert [path.name for path in (tmp_path / "train").iterdir()] == [".lock"]


@pytest.mark.usefixtures("stand_in")
def test_wrong_orders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "music"
    assert main([str(folder), "--pieces", "0"]) == 1
    assert capsys.readouterr().err == "error: expected at least one piece, got 0\n"
    assert main([str(folder), "--seconds", "2"]) == 1
    assert "at least 10 seconds, got 2" in capsys.readouterr().err
    with pytest.raises(ValueError, match="wav or flac, got 'mp3'"):
        Order(folder, "train", 1, 10.0, kind="mp3")
    assert not folder.exists()


@pytest.mark.training
def test_fluidsynth_plays_every_part_and_the_same_each_time() -> None:
    piece = compose("test", 0, 0, 12.0)
    for part in piece.parts:
        heard = fluidsynth.play(part, piece.tempo, piece.seconds)
        assert np.abs(heard).max() > 0.003, part.role
        assert np.array_equal(heard, fluidsynth.play(part, piece.tempo, piece.seconds))


@pytest.mark.training
def test_stems_of_rendered_pieces_are_balanced(tmp_path: Path) -> None:
    """Next to the truth of a stem, the mixture is somewhere around -6 dB."""
    found = []
    for path in write(Order(tmp_path, "test", 6, 20.0), jobs=2):
        stems = {s: soundfile.read(path / f"{s}.wav")[0] for s in (*STEMS, "mixture")}
        for stem in STEMS:
            rest = stems["mixture"] - stems[stem]
            found.append(10 * np.log10(np.square(stems[stem]).sum() / np.square(rest).sum()))
    assert all(-18 < sdr < 8 for sdr in found)
    assert -9 < np.median(found) < -2
