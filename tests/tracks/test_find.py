"""Files, folders and patterns of a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from demucs_tf.errors import AudioError
from demucs_tf.tracks.find import find_tracks

NAMES = (
    *("b.wav", "a.MP3", "cover.jpg", ".hidden.wav", "notes"),
    *("cd1/02.flac", "cd1/01.m4a", "cd2/x.ogg", ".work/part.wav", "separated/m/b/vocals.wav"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*arguments: str, skip: tuple[str, ...] = ()) -> list[str]:
    return [track.path.as_posix() for track in find_tracks(arguments, map(Path, skip))]


def test_files_are_taken_as_they_are(folder: Path) -> None:
    names = ["in/notes", "in/b.wav", "gone.wav", "in/.hidden.wav"]
    assert found(*names) == names
    assert found(*names, "./in/b.wav", *names) == names, "each once"


def test_a_folder_gives_its_audio_in_order(folder: Path) -> None:
    below = ["in/cd1/01.m4a", "in/cd1/02.flac", "in/cd2/x.ogg"]
    stems = ["in/separated/m/b/vocals.wav"]
    assert found("in") == ["in/a.MP3", "in/b.wav", *below, *stems]
    assert found("in", skip=("in/separated",)) == ["in/a.MP3", "in/b.wav", *below]
    assert found("in/.work") == ["in/.work/part.wav"], "named itself, a hidden one is meant"


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("in/*.wav", ["in/b.wav"]),
        ("in/?.*", ["in/a.MP3", "in/b.wav"]),
        ("in/[ab].*", ["in/a.MP3", "in/b.wav"]),
        ("in/cd*", ["in/cd1/01.m4a", "in/cd1/02.flac", "in/cd2/x.ogg"]),
        ("in/**/*.wav", ["in/b.wav"]),
        ("in/**/*.ogg", ["in/cd2/x.ogg"]),
    ],
)
def test_patterns(folder: Path, pattern: str, wanted: list[str]) -> None:
    assert found(pattern, skip=("in/separated",)) == wanted


@pytest.mark.parametrize(
    ("argument", "wanted"),
    [
        ("in/b.wav", ["."]),
        ("in/cd1", [".", "."]),
        ("in", [".", ".", "cd1", "cd1", "cd2"]),
        ("./in/../in", [".", ".", "cd1", "cd1", "cd2"]),
        ("in/*", [".", ".", "cd1", "cd1", "cd2"]),
        ("in/**/*.flac", ["cd1"]),
        ("*/cd1", ["in/cd1", "in/cd1"]),
    ],
)
def test_where_tracks_lie_below_what_was_given(
    folder: Path, argument: str, wanted: list[str]
) -> None:
    tracks = find_tracks([argument], [Path("in/separated")])
    assert [track.folder.as_posix() for track in tracks] == wanted


def test_stems_that_lie_with_the_tracks_are_left_out(folder: Path) -> None:
    stems = ("m/b/drums.wav", "m/b/bass.wav", "n/b/no_vocals.mp3", "n/b/vocals.mp3")
    for name in (*stems, "vocals.wav"):
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert found("in", skip=("in",))[:2] == ["in/a.MP3", "in/b.wav"]
    assert found("in", skip=("in",))[2:] == [
        "in/vocals.wav", "in/cd1/01.m4a", "in/cd1/02.flac", "in/cd2/x.ogg",
        "in/separated/m/b/vocals.wav",
    ], "one alone may be a track"  # fmt: skip
    assert "in/m/b/drums.wav" in found("in"), "elsewhere they are tracks as any others"


def test_a_link_to_itself_is_a_track_that_can_not_be_opened(folder: Path) -> None:
    (folder / "in/loop.wav").symlink_to("loop.wav")
    assert "in/loop.wav" in found("in")


@pytest.mark.parametrize(
    ("argument", "skip"),
    [("in/cd1", "."), ("in/cd1", "in"), ("in/cd1", "in/cd1"), ("in/cd1/*", "in/cd1")],
)
def test_what_is_skipped_has_to_lie_in_what_is_meant(
    folder: Path, argument: str, skip: str
) -> None:
    """Stems may go to where the tracks are, or above."""
    assert found(argument, skip=(skip,)) == ["in/cd1/01.m4a", "in/cd1/02.flac"]


def test_a_file_with_a_pattern_for_a_name_is_that_file(folder: Path) -> None:
    (folder / "[ab].wav").touch()
    (folder / "a.wav").touch()
    assert found("[ab].wav") == ["[ab].wav"]


def test_what_is_there_already_is_left_out(folder: Path) -> None:
    (folder / "link.wav").symlink_to(folder / "in" / "b.wav")
    assert found("in/cd1", "in/cd1/0*", "in/cd1/../cd1/01.m4a") == [
        "in/cd1/02.flac",
        "in/cd1/../cd1/01.m4a",
    ]
    assert found("in/*.wav", "*.wav") == ["in/b.wav"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("empty", "empty: expected audio files, found none by the folder"),
        ("in/*.jpg", r"in/\*\.jpg: expected audio files, found none by the pattern"),
        ("no/*.wav", r"no/\*\.wav: expected audio files"),
        ("empt?", "found none by the pattern"),
    ],
)
def test_nothing_found_is_said(folder: Path, argument: str, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        found("in/b.wav", argument)
