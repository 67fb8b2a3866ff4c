"""Which tracks the arguments of a command line mean."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from demucs_tf.errors import AudioError

# What is taken from a folder or a pattern. A file that is named itself can have any suffix.
AUDIO_SUFFIXES = frozenset(
    (
        *(".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
        *(".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".m4a", ".m4b", ".aac", ".wma"),
        *(".alac", ".ape", ".wv", ".tta", ".ac3", ".eac3", ".dts", ".amr", ".mka", ".dsf"),
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".ogv", ".mpg"),
        *(".mpeg", ".ts", ".3gp"),
    )
)


# What this program may have written: at least two of them beside each other are stems.
STEM_NAMES = frozenset(
    f"{rest}{source}"
    for source in ("drums", "bass", "other", "vocals", "guitar", "piano")
    for rest in ("", "no_", "minus_")
)


class Track(NamedTuple):
    """A file, and where it lies below the folder that was given."""

    path: Path
    folder: Path = Path()


def find_tracks(
    arguments: Sequence[str | os.PathLike[str]],
    skip: Iterable[Path] = (),
    failed: Callable[[Path, AudioError], object] | None = None,
) -> list[Track]:
    """The files that are meant, in the order of the arguments.

    - A file, or what is neither a folder nor a pattern, is taken as it is, there or not.
    - A folder gives the audio files in it and below, by suffix and sorted, without hidden files
      and folders (a leading dot).
    - A pattern with *, ? or [ that is no file gives the audio files and folders that match,
      sorted; ** matches any folders.

    A file that is there already is left out.

    Args:
        arguments: files, folders and patterns.
        skip: folders, as the one for the stems, in which nothing is looked for; each counts only
            for those arguments that it lies in. In those that are such a folder themselves, stems
            are left out: at least two files beside each other with names of stems.
        failed: what to call with an argument without audio files, and go on; None: raise.

    Raises:
        AudioError: a folder or a pattern without audio files.
    """
    paths = [Path(argument) for argument in arguments]
    left_out = [_real(folder) for folder in skip]
    named = {_real(path) for path in paths if not _is_many(path)}
    tracks: dict[Path, Track] = {}

    def add(path: Path, below: Path = Path()) -> None:
        tracks.setdefault(_real(path), Track(path, below))

    for path in paths:
        if not _is_many(path):
            add(path)
            continue
        base = _base(path)
        skipped = {folder for folder in left_out if _real(base) in folder.parents}
        found = list(_in_folder(path, skipped) if path.is_dir() else _matches(path, skipped))
        if _real(base) in left_out:
            found = [track for track in found if not _is_stem(track)]
        if not found:
            error = AudioError(_nothing(path))
            if failed is None:
                raise error
            failed(path, error)
        for track in found:
            if _real(track) not in named:
                add(track, track.parent.relative_to(base))
    return list(tracks.values())


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve() raises for a link to itself


def _is_stem(path: Path) -> bool:
    beside = {each.stem for each in path.parent.iterdir()}
    return path.stem in STEM_NAMES and len(beside & STEM_NAMES) > 1


def _is_many(path: Path) -> bool:
    return os.path.isdir(path) or _is_pattern(path)


def _is_pattern(path: Path) -> bool:
    # Path's own `exists` may raise for a name that is too long, as `is_dir` may above.
    return glob.has_magic(str(path)) and not os.path.exists(path)


def _base(path: Path) -> Path:
    """The folder below which everything lies that is meant."""
    while _is_pattern(path):
        path = path.parent
    return path


def _in_folder(folder: Path, skipped: set[Path]) -> Iterator[Path]:
    """Folder by folder; a link to a folder is not followed."""
    if _real(folder) in skipped:
        return
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and _real(Path(parent, name)) not in skipped
        )
        for name in sorted(files):
            path = Path(parent, name)
            if not name.startswith(".") and _is_audio(path):
                yield path


def _matches(pattern: Path, skipped: set[Path]) -> Iterator[Path]:
    for name in sorted(glob.glob(str(pattern), recursive=True)):
        path = Path(name)
        if path.is_dir():
            yield from _in_folder(path, skipped)
        elif _is_audio(path) and not skipped.intersection(_real(path).parents):
            yield path


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in AUDIO_SUFFIXES


def _nothing(path: Path) -> str:
    what = "the folder" if path.is_dir() else "the pattern"
    return (
        f"{path}: expected audio files, found none by {what}. A file is taken whatever its suffix "
        "if it is named itself."
    )
