"""Stems on disk, in MUSDB's layout: a folder a piece, in it a WAV or FLAC file a stem."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from demucs_tf.audio.checks import check_file, check_samples
from demucs_tf.errors import TrainingError

Array = npt.NDArray[Any]
SUFFIXES = (".wav", ".flac")
MIXTURE = "mixture"
_BLOCK = 2**20  # frames that a scan holds at a time
_FULL = 1 - 2**-15  # the largest 16-bit sample
_FLAT = 8  # so many samples in a row at full scale are no peak of a waveform


@dataclass(frozen=True)
class Piece:
    """One piece of music.

    Attributes:
        name: of its folder.
        files: stem -> file, in the order of the model's sources.
        frames: T, the same for all its files.
        first: the sample that counts as the first one.
    """

    name: str
    files: dict[str, Path]
    frames: int
    first: int = 0

    def read(self, stem: str, start: int, length: int) -> Array:
        """Samples of one stem, float32 (A, length); zeros where the piece has ended.

        Raises:
            TrainingError: the file is gone, or no longer what it was.
        """
        path = self.files[stem]
        try:
            with soundfile.SoundFile(path) as file:
                file.seek(self.first + min(start, self.frames))
                count = min(length, max(0, self.frames - start))
                wav = file.read(count, dtype="float32", always_2d=True, fill_value=0.0).T
        except (OSError, RuntimeError) as error:
            raise TrainingError(f"{path}: it can't be read any more ({error}).") from error
        check_samples(wav, str(path), self.first + start)
        return np.pad(wav, [(0, 0), (0, length - wav.shape[1])])


class StemFolder:
    """The pieces of a folder, checked; only what is asked for is read.

    Args:
        path: the folder; each folder in it with a `mixture`, or a stem of `sources`, is a piece. Or
            the folder of one piece.
        sources: the stems that each piece must have.
        samplerate: in Hz, of all files.
        channels: A, of all files.
        scan: read all of it once and refuse stems that are silent throughout or clipped.

    Attributes:
        pieces: in the order of their names.

    Raises:
        TrainingError: no piece; a stem that is missing, unreadable, of another rate, channel
            count or length than the others, silent or clipped.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        sources: Sequence[str],
        samplerate: int = 44100,
        channels: int = 2,
        scan: bool = True,
    ) -> None:
        self.path = Path(path)
        self.sources = tuple(sources)
        self.samplerate = samplerate
        self.channels = channels
        if not self.path.is_dir():
            raise TrainingError(f"{self.path}: expected a folder of pieces, found none.")
        inside = [self.path] if self._is_piece(self.path) else sorted(self.path.iterdir())
        folders = [each for each in inside if self._is_piece(each)]
        if not folders:
            raise TrainingError(
                f"{self.path}: expected folders PIECE/{{{','.join(self.sources)}}}.wav (or .flac), "
                "found none."
            )
        self.pieces = [self._piece(folder) for folder in folders]
        if scan:
            self.scan()

    @property
    def seconds(self) -> float:
        """Length of all pieces together."""
        return sum(piece.frames for piece in self.pieces) / self.samplerate

    @property
    def fingerprint(self) -> str:
        """A few digits that are other ones for other pieces, stems or lengths."""
        lines = [
            f"{piece.name} {piece.first} {piece.frames} {sorted(piece.files)}"
            for piece in self.pieces
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def part(self, begin: float, end: float) -> StemFolder:
        """The same with a part of each piece, between two shares of its length."""
        other = copy(self)
        other.pieces = [
            replace(piece, first=piece.first + first, frames=int(end * piece.frames) - first)
            for piece in self.pieces
            for first in [int(begin * piece.frames)]
        ]
        return other

    def scan(self) -> None:
        """Read every stem once, block by block.

        Raises:
            TrainingError: a stem is silent throughout, clipped, or has samples that are no numbers.
        """
        for piece in self.pieces:
            for stem in self.sources:
                _scan(piece, stem)

    def _is_piece(self, folder: Path) -> bool:
        names = (*self.sources, MIXTURE)
        return folder.is_dir() and any(_file(folder, name) is not None for name in names)

    def _piece(self, folder: Path) -> Piece:
        files, frames = {}, {}
        for stem in self.sources:
            file = _file(folder, stem)
            if file is None:
                raise TrainingError(
                    f"{folder}: expected the stems {', '.join(self.sources)}, and {stem} is "
                    "missing. Add it (WAV or FLAC), or move the piece away."
                )
            files[stem] = file
            frames[stem] = self._frames(file)
        mixture = _file(folder, MIXTURE)
        if mixture is not None:
            frames[MIXTURE] = self._frames(mixture)
        if len(set(frames.values())) > 1:
            found = ", ".join(f"{stem} {count}" for stem, count in frames.items())
            raise TrainingError(f"{folder}: expected files of one length, found samples: {found}.")
        return Piece(folder.name, files, frames[self.sources[0]])

    def _frames(self, path: Path) -> int:
        check_file(path)
        try:
            info = soundfile.info(path)
        except (OSError, RuntimeError) as error:
            raise TrainingError(
                f"{path}: expected WAV or FLAC, it can't be read: {error}"
            ) from error
        if info.samplerate != self.samplerate:
            raise TrainingError(
                f"{path}: expected {self.samplerate} Hz, found {info.samplerate} Hz. Resample it."
            )
        if info.channels != self.channels:
            raise TrainingError(
                f"{path}: expected {self.channels} channels, found {info.channels}. Convert it."
            )
        if not info.frames:
            raise TrainingError(f"{path}: expected audio, found 0 samples.")
        return int(info.frames)


def _file(folder: Path, stem: str) -> Path | None:
    found = [folder / (stem + suffix) for suffix in SUFFIXES]
    return next((path for path in found if path.is_file()), None)


def _scan(piece: Piece, stem: str) -> None:
    silent = True
    for start in range(0, piece.frames, _BLOCK):
        wav = piece.read(stem, start, min(_BLOCK, piece.frames - start))
        silent = silent and not wav.any()
        place = _clipped(wav)
        if place is not None:
            raise TrainingError(
                f"{piece.files[stem]}: clipped, {_FLAT} samples or more in a row at full scale "
                f"from sample {start + place} on. Export it again with less gain, or move the "
                "piece away."
            )
    if silent:
        raise TrainingError(
            f"{piece.files[stem]}: silent throughout, so nothing can be learnt from it. Move the "
            "piece away, or train without the scan if it is meant so."
        )


def _clipped(wav: Array) -> int | None:
    """Where in (A, T) a row of `_FLAT` equal samples at full scale begins; None: nowhere."""
    for channel in wav:
        full = np.concatenate([[0], (np.abs(channel) >= _FULL).astype(np.int8), [0]])
        steps = np.diff(full)
        starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
        for start in starts[ends - starts >= _FLAT]:
            if np.ptp(channel[start : start + _FLAT]) == 0:
                return int(start)
    return None
