"""Read audio files, whole or as a stream. Arrays are (channels, samples)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import soundfile

from demucs_tf.audio.checks import check_file, check_samples, damaged, unreadable
from demucs_tf.audio.convert import BLOCK
from demucs_tf.audio.cut_short import (
    UNKNOWN_LENGTH,
    reason_for_cut_container,
    reason_for_truncation,
)
from demucs_tf.audio.tags import NAMES, cleaned
from demucs_tf.errors import AudioError
from demucs_tf.utils.atomic import Closing

Array = npt.NDArray[Any]

# What libsndfile says of a file that another decoder may know: format not recognised, encoding
# not supported, not implemented; and "does not exist" (7) of any file named .mp3 without MP3 in it.
_NOT_KNOWN = {1, 4, 7, 18}


class Decoder(Protocol):
    """An open audio file."""

    rate: int
    channels: int
    tags: Mapping[str, str]

    def parts(self) -> Iterator[Array]:
        """Yield float32 (A, n), of any length, to the end of the file; AudioError if damaged."""

    def close(self) -> None:
        """Let go of the file."""


class AudioStream(Closing):
    """An open audio file, read once from start to end; a context manager. See `open_audio`.

    Attributes:
        path: the file.
        rate: its sample rate in Hz.
        channels: its channel count A.
        tags: of those in `demucs_tf.audio.tags.NAMES` what it has.
    """

    def __init__(self, path: Path, decoder: Decoder) -> None:
        self.path = path
        self.rate = decoder.rate
        self.channels = decoder.channels
        self.tags = cleaned(decoder.tags)
        self._decoder = decoder
        self._started = False

    def blocks(self) -> Iterator[Array]:
        """Yield float32 (A, n), n of about 2**18 and never 0. Can be called once.

        Raises:
            AudioError: the file is damaged or cut short, has no samples, or has some that are
                NaN or infinite. The blocks before are whole.
        """
        if self._started:
            raise ValueError(f"{self.path}: its blocks have been asked for; open it again.")
        self._started = True
        return self._blocks()

    def _blocks(self) -> Iterator[Array]:
        position = 0
        for block in _joined(self._decoder.parts()):
            check_samples(block, str(self.path), position)
            position += block.shape[1]
            yield block
        if not position:
            raise AudioError(f"{self.path}: expected audio, found a file with 0 samples.")

    def close(self) -> None:
        """Let go of the file; what is left of its blocks is lost."""
        self._decoder.close()


def open_audio(path: str | PathLike[str]) -> AudioStream:
    """Open an audio file to read it block by block, at its own rate and channel count.

    WAV, FLAC, OGG, MP3 and whatever else libsndfile knows are read by it. The rest (M4A, AAC,
    WMA, the first audio track of a video) is read by PyAV if that is there, or else by the
    ffmpeg program that is on PATH, or comes with imageio-ffmpeg.

    Integer samples become floats in [-1, 1). The encoder's delay is trimmed where the file says
    it, so that stems line up with what a player plays: in MP3 with a LAME header (the reference's
    first reader, sphn, keeps it there), in M4A and MP4 with an edit list, in Opus. A raw .aac
    (ADTS) and a fragmented MP4 do not say it: 1024 samples of an AAC encoder's delay remain, as
    with ffmpeg. AAC in Matroska is trimmed by FFmpeg 8 and not by 7. The padding of the last AAC
    frame, fewer than 1024 samples, stays with FFmpeg 8 and before; 9 cuts it where an edit list
    ends, which counts milliseconds.

    A file that is cut short is an error wherever that can be known. It can't in an MP3 without
    a Xing/Info header, in an MP3 that lacks no more than its last frame, in a WAV that was
    written to a pipe (its header says no length), nor between two frames of a raw stream (ADTS,
    MPEG-TS). Nor is damage inside an MP3 or OGG known.

    Raises:
        AudioError: no such file, not a file, empty, not audio, or damaged where that shows at
            once. The rest shows in `AudioStream.blocks`.
    """
    path = Path(path)
    check_file(path)
    try:
        return AudioStream(path, _Sndfile(path))
    except TypeError as error:  # a name that ends in .raw
        unread: Exception = error
    except soundfile.LibsndfileError as error:
        if error.code not in _NOT_KNOWN:
            raise AudioError(unreadable(path, error.error_string.rstrip("."))) from error
        unread = error
    return AudioStream(path, _other_decoder(path, unread))


def read_audio(path: str | PathLike[str]) -> tuple[Array, int]:
    """Read an audio file whole; see `open_audio` for formats and what is done about delays.

    Returns:
        float32 (A, T), T >= 1, and the sample rate in Hz.

    Raises:
        AudioError: no such file, not a file, empty, not audio, cut short, without samples, or
            with samples that are NaN or infinite.
    """
    with open_audio(path) as stream:
        return np.concatenate(list(stream.blocks()), axis=1), stream.rate


def _joined(parts: Iterator[Array]) -> Iterator[Array]:
    """Join parts until there are `BLOCK`; what is empty vanishes."""
    waiting: list[Array] = []
    length = 0
    for part in parts:
        waiting.append(part)
        length += part.shape[1]
        if length >= BLOCK:
            yield np.concatenate(waiting, axis=1) if len(waiting) > 1 else part
            waiting, length = [], 0
    if length:
        yield np.concatenate(waiting, axis=1)


def _other_decoder(path: Path, error: Exception) -> Decoder:
    """What libsndfile does not know, by PyAV or ffmpeg."""
    from demucs_tf.audio.ffmpeg import find_ffmpeg
    from demucs_tf.audio.pyav import find_av

    decoder = find_av() or find_ffmpeg()
    if decoder is None:
        install = (
            'M4A, AAC, WMA and video can be read after `pip install "demucs-tf[av]"`, or with the '
            "ffmpeg program on PATH."
        )
        raise AudioError(unreadable(path, advice=install)) from error
    if cut := reason_for_cut_container(path):
        raise AudioError(f"{path}: cut short: {cut}. Get a whole copy of the file.")
    return decoder(path)


class _Sndfile:
    """A file that libsndfile reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = soundfile.SoundFile(os.fsencode(path) if os.name == "posix" else path)
        self.rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.tags: Mapping[str, str] = {name: getattr(self._file, name) for name in NAMES}
        if self._file.frames > UNKNOWN_LENGTH:
            kind = self._file.format
            self._file.close()
            raise AudioError(
                f"{path}: its header says no length, and libsndfile can't read such a "
                f'{kind} to its end. Convert it first: ffmpeg -i "{path.name}" out.wav'
            )

    def parts(self) -> Iterator[Array]:
        """Yield what the file has; the frame count of a header is not relied on."""
        decoded = 0
        try:
            while len(frames := self._file.read(BLOCK, dtype="float32", always_2d=True)):
                decoded += len(frames)
                yield np.ascontiguousarray(frames.T)
        except soundfile.LibsndfileError as error:
            raise AudioError(damaged(self._path, error.error_string.rstrip("."))) from error
        if cut := reason_for_truncation(self._path, self._file, decoded):
            raise AudioError(f"{self._path}: cut short: {cut}. Get a whole copy of the file.")

    def close(self) -> None:
        self._file.close()
