"""Decode M4A, AAC, WMA and the audio of videos with the ffmpeg program, where there is no PyAV."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.audio.checks import damaged, unreadable
from demucs_tf.audio.tags import from_ffmpeg
from demucs_tf.errors import AudioError
from demucs_tf.utils.text import reason_of, shown

_log = logging.getLogger("demucs_tf")

Array = npt.NDArray[Any]

# Names of FFmpeg's demuxers that read one file and nothing else: no playlists, no scripts.
CONTAINERS = (
    *("mov", "matroska", "asf", "aac", "ogg", "avi", "flv", "mpegts", "mpeg", "mxf", "nut", "rm"),
    *("wav", "w64", "aiff", "au", "caf", "flac", "mp3", "ac3", "eac3", "dts", "truehd", "amr"),
    *("ape", "wv", "tta", "tak", "mpc", "mpc8", "dsf", "iff", "oma", "loas"),
)

_PART_FRAMES = 1 << 16
_MOST_TAGS = 1 << 16  # bytes of their listing
_AU_HEADER = 24  # bytes: ".snd", where the samples start, their size, encoding, rate, channels
_AU_FLOAT32 = 6
# What a program ends with that can't start: by a shell, a loader without its libraries, Windows.
_NOT_STARTED = (126, 127, 0xC0000135)
# ffmpeg ends well after these, with what there was.
_CUT = re.compile(r"ended prematurely|partial file|truncated", re.IGNORECASE)


class NotRunError(AudioError):
    """A program that is there and can't start."""


def find_ffmpeg() -> Callable[[Path], FfmpegDecoder] | None:
    """What decodes with the ffmpeg program of the system, or else of imageio-ffmpeg.

    None if there is neither. One that can't start, for want of its libraries, is passed over.
    """
    program = shutil.which("ffmpeg") or _packaged()
    return None if program is None else partial(_open, program)


def _packaged() -> str | None:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # not installed, or without a program
        return None


def _open(program: str, path: Path) -> FfmpegDecoder:
    try:
        return FfmpegDecoder(program, path)
    except NotRunError as error:
        other = _packaged()
        if other is None or other == program:
            raise
        _log.warning("%s Here %s decodes in its place.", error, other)
        return FfmpegDecoder(other, path)


def command(program: str, path: Path) -> list[str]:
    """Decode the first audio track to stdout, stop at the first error.

    As AU, a header of 24 bytes before float32 samples: it says rate and channels, and nothing is
    resampled or mixed. "file:" keeps ffmpeg from taking a name for an option or a URL; the white
    lists keep a playlist from leading to other files or to the network.
    """
    return [
        *_reading(program, path),
        *("-map", "0:a:0", "-map_metadata", "-1", "-bitexact"),
        *("-c:a", "pcm_f32be", "-f", "au", "pipe:1"),
    ]


def _reading(program: str, path: Path) -> list[str]:
    return [
        *(program, "-nostdin", "-hide_banner", "-loglevel", "error", "-xerror"),
        *("-protocol_whitelist", "file", "-format_whitelist", ",".join(CONTAINERS)),
        *("-i", f"file:{path}"),
    ]


def _tags(program: str, path: Path) -> dict[str, str]:
    """The tags of a file, as a list of KEY=VALUE with backslashes before what is no letter."""
    listing = [*_reading(program, path), "-map_metadata:g", "0:s:a:0", "-map_metadata:g", "0:g"]
    done = subprocess.run(
        [*listing, "-f", "ffmetadata", "pipe:1"], stdin=subprocess.DEVNULL, capture_output=True
    )
    text = done.stdout[:_MOST_TAGS].decode(errors="replace").partition("\n[")[0]  # a chapter
    pairs = re.findall(r"^([A-Za-z_ -]+)=((?:\\.|[^\\\n])*)", text, re.M | re.S)
    return from_ffmpeg((key, re.sub(r"\\(.)", r"\1", value, flags=re.S)) for key, value in pairs)


class FfmpegDecoder:
    """The first audio track of a file; see `demucs_tf.audio.reader.Decoder`.

    Raises:
        NotRunError: ffmpeg can't be run.
        AudioError: it does not know the file, or finds no audio in it.
    """

    def __init__(self, program: str, path: Path) -> None:
        self._path = path
        self._program = program
        self._notes = tempfile.TemporaryFile()  # noqa: SIM115  # a pipe could fill up and block
        try:
            self._process = subprocess.Popen(
                command(program, path),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._notes,
            )
        except OSError as error:
            self._notes.close()
            raise self._not_run(reason_of(error)) from error
        assert self._process.stdout is not None
        self._pipe = self._process.stdout
        try:
            self._read_header()
            self.tags: Mapping[str, str] = _tags(program, path)
        except BaseException:
            self.close()
            raise

    def _read_header(self) -> None:
        header = self._pipe.read(_AU_HEADER)
        if len(header) < _AU_HEADER:
            if self._process.wait() in _NOT_STARTED:
                raise self._not_run(self._reason())
            raise AudioError(unreadable(self._path, self._reason(), "ffmpeg"))
        start, _, encoding, rate, channels = np.frombuffer(header[4:], ">u4").tolist()
        if header[:4] != b".snd" or encoding != _AU_FLOAT32 or not channels:
            raise AudioError(unreadable(self._path, "ffmpeg wrote no AU of float32", "ffmpeg"))
        self._pipe.read(start - _AU_HEADER)
        self.rate: int = rate
        self.channels: int = channels

    def parts(self) -> Iterator[Array]:
        """Yield what ffmpeg decodes, while it does."""
        frame = 4 * self.channels
        while data := self._pipe.read(_PART_FRAMES * frame):
            samples = np.frombuffer(data[: len(data) // frame * frame], ">f4")
            yield np.ascontiguousarray(samples.reshape(-1, self.channels).T, np.float32)
        status = self._process.wait()
        notes = self._reason()
        if status:
            raise AudioError(damaged(self._path, notes))
        if _CUT.search(notes):
            raise AudioError(f"{self._path}: cut short ({notes}). Get a whole copy of the file.")

    def close(self) -> None:
        """Stop ffmpeg."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()
        self._notes.close()

    def _not_run(self, reason: str) -> NotRunError:
        return NotRunError(
            f"{self._path}: {self._program} can't be run: {reason}. Install ffmpeg anew, or "
            '`pip install "demucs-tf[av]"`.'
        )

    def _reason(self) -> str:
        """The first thing that ffmpeg said, without the address of the object that says it."""
        self._notes.seek(0)
        first = self._notes.readline(1000).decode(errors="replace").strip()
        text = re.sub(r"^\[[^]]*\] *", "", first)
        if text.startswith("Format not on whitelist"):  # and then the list
            text = "a format that is not read"
        return f"ffmpeg: {shown(text) or 'no reason given'}"
