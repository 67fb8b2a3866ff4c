"""Tracks: which the arguments of a command line mean, and one of them on its way."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from demucs_tf.errors import AudioError
from demucs_tf.utils.atomic import Closing
from demucs_tf.utils.quiet import quiet

if TYPE_CHECKING:
    from demucs_tf.audio.reader import AudioStream
    from demucs_tf.audio.writer import StemWriter
    from demucs_tf.inference.arrays import Array
    from demucs_tf.inference.separator import Separator

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


# One track on its way: counted as it is read, and brought back to its own rate.


class Source:
    """An open audio file that counts its frames, and whose decoders print nothing.

    Args:
        audio: the file.
        noisy: let them.
    """

    def __init__(self, audio: AudioStream, *, noisy: bool = False) -> None:
        self.path, self.rate, self.channels = audio.path, audio.rate, audio.channels
        self.tags = audio.tags
        self.frames = 0
        self._audio = audio
        self._noisy = noisy

    @property
    def seconds(self) -> float:
        """The length of what was read so far."""
        return self.frames / self.rate

    def blocks(self) -> Iterator[Array]:
        """Yield float32 (A, n) to the end."""
        blocks = self._audio.blocks()
        while True:
            with quiet(unless=self._noisy):
                block = next(blocks, None)
            if block is None:
                return
            self.frames += block.shape[-1]
            yield block


class KeptRate(Closing):
    """Brings a stem back to the rate and the length of its track on its way to a file.

    Two conversions that each round down may lose a few samples at the end: they are zeros.
    """

    def __init__(self, writer: StemWriter, separator: Separator, source: Source) -> None:
        import numpy as np

        from demucs_tf.audio.resampler import Resampler

        self._channels = separator.audio_channels
        self._dtype = np.dtype(separator.model.compute_dtype)
        self._resampler = Resampler(separator.samplerate, source.rate, self._channels, self._dtype)
        self._writer = writer
        self._source = source
        self._written = 0

    def write(self, block: Array) -> None:
        """Take the next samples at the model's rate."""
        self._pass_on(self._resampler.push(block))

    def close(self) -> None:
        """Write what is left, and zeros up to the track's length."""
        import numpy as np

        with self._writer:
            self._pass_on(self._resampler.flush())
            missing = self._source.frames - self._written
            self._pass_on(np.zeros((self._channels, missing), self._dtype))

    def abort(self) -> None:
        self._writer.abort()

    def _pass_on(self, block: Array) -> None:
        block = block[:, : self._source.frames - self._written]
        self._written += block.shape[-1]
        if block.shape[-1]:
            self._writer.write(block)
