"""Which files `separate` will write, checked before the costly part, and how it writes them."""

from __future__ import annotations

import errno
import os
import string
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from demucs_tf.audio.checks import not_written
from demucs_tf.errors import AudioError, UsageError
from demucs_tf.export.files import MANIFEST
from demucs_tf.tracks.find import Track
from demucs_tf.utils.work_folder import make_folder, remove_empty

FIELDS = ("folder", "track", "trackext", "stem", "ext")
_AWAY = "Move it away, or choose another folder with -o."


def model_folder(name: str) -> str:
    """The folder named after a model: a file's name without its suffix, or a bag's folder.

    Reference: demucs/separate.py:158 for names that are no files.
    """
    path = Path(name)
    if path.name == MANIFEST or (path / MANIFEST).is_file():
        folder = Path(os.path.abspath(path / MANIFEST if path.is_dir() else path)).parent.name
    else:
        folder = path.stem if path.is_file() else name
    folder = folder.removeprefix("hf://").replace("/", "_")
    if folder in ("", ".", ".."):
        raise UsageError(f"-n {name!r} does not name a model.")
    return folder


def check_template(template: str, ext: str, *, several: bool = True) -> None:
    """UsageError if `--filename` has unknown fields, leaves the folder, or lacks {stem}.

    `several`: a track has more than one stem.
    """
    try:
        parsed = string.Formatter().parse(template)
        names = [name for _, name, _, _ in parsed if name is not None]
    except ValueError as error:
        raise UsageError(f"--filename {template!r}: {error}.") from error
    known = ", ".join(f"{{{field}}}" for field in FIELDS)
    if unknown := [name for name in names if name not in FIELDS]:
        raise UsageError(f"--filename has {{{unknown[0]}}}; expected only {known}.")
    if several and "stem" not in names:
        raise UsageError("--filename lacks {stem}: all stems would get the same name.")
    try:
        sample = rendered(template, Track(Path("track.wav")), "stem", ext)
    except (ValueError, KeyError, IndexError) as error:  # formats and conversions, as in {stem:d}
        raise UsageError(f"--filename {template!r} can't be filled in: {error}.") from error
    if Path(sample).suffix != f".{ext}":
        raise UsageError(f"--filename must end in .{ext} with these options, e.g. in .{{ext}}.")
    if not _stays_inside(sample):
        raise UsageError(f"--filename {template!r} leads out of the output folder.")


def plan(folder: Path, template: str, track: Track, stems: Iterable[str], ext: str) -> list[Path]:
    """The files for `track`, one a stem.

    Raises:
        AudioError: the track's name leads out of `folder`, or something is in the way.
    """
    paths = []
    for stem in stems:
        name = rendered(template, track, stem, ext)
        if not _stays_inside(name):
            raise AudioError(
                f"{track.path}: its name would put {name!r} outside of {folder}. Rename it, or "
                "give a --filename without {track}."
            )
        path = folder / os.path.normpath(name)
        _check_free(path)
        try:
            check_length(path)
        except OSError as error:
            raise AudioError(not_written(path, error)) from error
        paths.append(path)
    return paths


def check_distinct(planned: Mapping[Track, Iterable[Path]], template: str) -> None:
    """UsageError if two outputs have the same path, or one is also an input."""
    owners: dict[Path, Track] = {}
    tracks = {os.path.realpath(track.path) for track in planned}
    for track, paths in planned.items():
        for path in paths:
            if path in owners:
                raise UsageError(same_files(template, owners[path], track, path))
            if os.path.realpath(path) in tracks:
                raise UsageError(f"{path} is a track to separate and would be overwritten.")
            owners[path] = track


def same_files(template: str, one: Track, other: Track, path: Path) -> str:
    """What to say of two tracks whose stems would have the same path."""
    return (
        f"{one.path} and {other.path} would both be written to {path}. "
        f"{_told_apart(template, one, other)} into different folders (-o)."
    )


def _told_apart(template: str, one: Track, other: Track) -> str:
    """How two tracks get names of their own, as the beginning of a sentence."""
    with_suffix = template.replace("{track}", "{track}.{trackext}")
    for better in (with_suffix, f"{{folder}}/{template}", f"{{folder}}/{with_suffix}"):
        if rendered(better, one, "stem", "ext") != rendered(better, other, "stem", "ext"):
            return f"Tell them apart by --filename '{better}', or separate them"
    return "Separate them"


def check_writable(folder: Path) -> None:
    """AudioError if nothing can be written where `folder` is or will be."""
    existing = _existing(folder)
    if not os.path.isdir(existing):
        found = "a link that leads nowhere" if existing.is_symlink() else "a file"
        raise AudioError(f"{existing}: expected a folder to write to, found {found}. {_AWAY}")
    try:
        check_length(folder)
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise AudioError(not_written(folder, error)) from error


def _existing(path: Path) -> Path:
    """The path, or the nearest above it that is there."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def check_length(path: Path) -> None:
    """OSError if a name in a path is too long for the file system that it will be on."""
    existing = _existing(path)
    missing = path.relative_to(existing).parts
    longest = max((len(os.fsencode(name)) for name in missing), default=0)
    if longest and longest > os.pathconf(existing, "PC_NAME_MAX"):
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


def place(files: Mapping[Path, Path]) -> None:
    """Give finished files their names.

    Args:
        files: for every path where the file lies now, on the same file system.

    Raises:
        AudioError: a folder can't be made or written to; then all is as before.
    """
    made: list[Path] = []
    placed: dict[Path, Path] = {}
    path = Path()
    try:
        for path in files:
            made += make_folder(path.parent)
        for path, now in files.items():
            before = now.with_name(f"{now.name}.before")
            with suppress(OSError):  # nothing is there, or the file system has no hard links
                os.link(path, before)
            os.replace(now, path)
            placed[path] = before
    except OSError as error:
        for new, before in placed.items():
            if before.exists():
                os.replace(before, new)
            else:
                new.unlink()
        remove_empty(made)
        raise AudioError(not_written(path, error)) from error


def _check_free(path: Path) -> None:
    if os.path.isdir(path):
        raise AudioError(f"{path}: expected a file to write, found a folder. {_AWAY}")
    for folder in path.parents:
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise AudioError(f"{folder}: expected a folder, found a file. {_AWAY}")


def rendered(template: str, track: Track, stem: str, ext: str) -> str:
    """The path of a stem below the output folder."""
    # Reference: demucs/separate.py:187-192. A name without a dot is its own extension there.
    name, _, trackext = track.path.name.rpartition(".")
    return template.format(
        folder=track.folder.as_posix(),  # "." where there is none
        track=name if "." in track.path.name else trackext,
        trackext=trackext,
        stem=stem,
        ext=ext,
    )


def _stays_inside(name: str) -> bool:
    first = Path(os.path.normpath(name)).parts[:1]
    # An empty name between two slashes: the track is called ".wav".
    return not os.path.isabs(name) and first != ("..",) and "//" not in name
