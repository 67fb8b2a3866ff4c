"""Decode M4A, AAC, WMA and the audio of videos with PyAV, an optional dependency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.audio.checks import damaged, unreadable
from demucs_tf.audio.ffmpeg import CONTAINERS
from demucs_tf.audio.tags import from_ffmpeg
from demucs_tf.errors import AudioError
from demucs_tf.utils.text import reason_of, shown

Array = npt.NDArray[Any]

# A playlist must not lead to other files or to the network.
_OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "none"}
# What Python's file says of a place that a damaged header sends it to.
_OF_SEEKING = (OSError, OverflowError, ValueError)
# Sample formats of FFmpeg: what is subtracted, and the full scale. Planar ones have a "p" more.
_SCALES = {
    "u8": (128, 2.0**7),
    "s16": (0, 2.0**15),
    "s32": (0, 2.0**31),
    "s64": (0, 2.0**63),
    "flt": (0, 1.0),
    "dbl": (0, 1.0),
}


def find_av() -> Callable[[Path], AvDecoder] | None:
    """What decodes with PyAV; None if that is not installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        return None
    return AvDecoder


class AvDecoder:
    """The first audio track of a file; see `demucs_tf.audio.reader.Decoder`.

    Raises:
        AudioError: FFmpeg does not know the file, or there is no audio in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        import av

        try:
            container = av.open(
                self._file, "r", container_options=_OPTIONS, metadata_errors="replace"
            )
        except (av.FFmpegError, *_OF_SEEKING) as error:
            raise AudioError(unreadable(self._path, _reason(error), "PyAV")) from error
        if not container.streams.audio:
            raise AudioError(f"{self._path}: expected audio, found no audio track in the file.")
        of_stream = container.streams.audio[0].metadata  # where OGG has them
        self.tags: Mapping[str, str] = from_ffmpeg(
            [*of_stream.items(), *container.metadata.items()]
        )
        self._frames = container.decode(container.streams.audio[0])
        # The header of an HE-AAC file may state half the rate: the decoder knows.
        self._first = self._next()
        if self._first is None:
            raise AudioError(f"{self._path}: expected audio, found a file with 0 samples.")
        self.rate = int(self._first.sample_rate)
        self.channels = int(self._first.layout.nb_channels)

    def parts(self) -> Iterator[Array]:
        """Yield frame after frame, about 1024 samples each."""
        frame = self._first
        while frame is not None:
            if (frame.sample_rate, frame.layout.nb_channels) != (self.rate, self.channels):
                raise AudioError(
                    f"{self._path}: expected {self.channels} channels at {self.rate} Hz to the "
                    f"end, found {frame.layout.nb_channels} at {frame.sample_rate} Hz further on. "
                    f'Convert it first: ffmpeg -i "{self._path.name}" out.wav'
                )
            yield self._samples(frame)
            frame = self._next()

    def _next(self) -> Any:
        import av

        try:
            frame = next(self._frames, None)
        except (av.FFmpegError, *_OF_SEEKING) as error:
            raise AudioError(damaged(self._path, _reason(error))) from error
        if frame is not None and frame.is_corrupt:
            raise AudioError(damaged(self._path, "a frame is marked as damaged"))
        return frame

    def _samples(self, frame: Any) -> Array:
        """Float32 (A, n), scaled as libswresample does."""
        packed, name = not frame.format.is_planar, frame.format.packed.name
        if name not in _SCALES:
            raise AudioError(unreadable(self._path, f"samples as {shown(name)}", "PyAV"))
        samples = frame.to_ndarray()
        if packed:
            samples = samples.reshape(-1, self.channels).T
        zero, scale = _SCALES[name]
        if samples.dtype.kind == "f":
            return np.ascontiguousarray(samples, np.float32)
        return (samples.astype(np.float32) - np.float32(zero)) / np.float32(scale)

    def close(self) -> None:
        self._file.close()


def _reason(error: Exception) -> str:
    text = reason_of(error)
    # FFmpeg finds an argument invalid if a format is not on the list.
    return "FFmpeg: " + ("a format that is not read" if "argument" in text else shown(text))
