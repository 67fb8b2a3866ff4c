"""Write audio files, whole or as a stream. Arrays are (channels, samples)."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from demucs_tf.errors import AudioError
from demucs_tf.utils.audio_checks import check_samples, not_written
from demucs_tf.utils.audio_encoders import Encoder, Rounding, check_wav_size, make_encoder
from demucs_tf.utils.blocks import BLOCK, blocks_of
from demucs_tf.utils.closing import Closing
from demucs_tf.utils.files import write_whole

Array = npt.NDArray[Any]
ClipMode = Literal["rescale", "clamp", "tanh", "none"]


def prevent_clip(wav: Array, mode: ClipMode = "rescale") -> Array:
    """Bring samples into [-1, 1] before they are written.

    "rescale" divides by 1.01 times the peak if that is above 1. "clamp" cuts at 0.99. "tanh"
    bends everything. "none" leaves `wav` alone.
    QUIRK demucs/audio.py:287: "rescale" takes each stem on its own, so relative levels change.

    Raises:
        ValueError: another mode.

    Reference: demucs/audio.py::prevent_clip
    """
    check_clip(mode)
    if mode == "rescale":
        return wav / _divisor(_peak(wav), wav.dtype)
    return _clipped(wav, mode)


def check_clip(mode: str) -> None:
    """ValueError for a mode that `prevent_clip` does not know."""
    if mode not in ("rescale", "clamp", "tanh", "none"):
        raise ValueError(f'clip must be "rescale", "clamp", "tanh" or "none", got {mode!r}.')


def _clipped(wav: Array, mode: ClipMode) -> Array:
    """The modes that look at one sample at a time."""
    if mode == "clamp":
        return np.clip(wav, -0.99, 0.99)
    return np.tanh(wav) if mode == "tanh" else wav


def _peak(wav: Array) -> Any:
    return max(np.max(wav, initial=0), -np.min(wav, initial=0))


def _divisor(peak: Any, dtype: np.dtype[Any]) -> Any:
    return max(dtype.type(1.01) * dtype.type(peak), dtype.type(1))


class StemWriter(Closing):
    """Write one audio file block by block, in memory that does not grow with its length.

    The bytes are those that `write_audio` writes of the joined blocks. As a context manager it
    closes the file, or after an exception removes it.

    With `clip` "rescale" the gain is known only at the end: samples wait in a nameless file in
    `scratch`, 4 or 8 bytes each, and are encoded by `close`.

    Args:
        path: what is written, a temporary name that the caller renames. Its suffix, ".wav",
            ".flac" or ".mp3", is the format.
        rate: in Hz.
        channels: A.
        clip: see `prevent_clip`. Integers are clamped to [-1, 1] in any case.
        bits: 16 or 24, of integer samples; MP3 takes 16.
        as_float: float32 samples, WAV only. With clip "none" they are written as they are;
            the reference clamps them (demucs/audio.py:240).
        bitrate: of an MP3, in kbit/s.
        preset: of an MP3, from 2, the best, to 7, the fastest.
        rounding: "truncate" cuts integer samples off towards zero, as the reference; "round"
            takes the nearest.
        scratch: a folder on a disk with room, for "rescale".
        name: what messages call the file; None: `path`.

    Raises:
        AudioError: the file can't be made, or its format can't have that rate or channel count.
        ValueError: a format or a setting that is not offered.

    Reference: demucs/audio.py::save_audio
    """

    def __init__(
        self,
        path: str | PathLike[str],
        rate: int,
        channels: int,
        *,
        clip: ClipMode = "rescale",
        bits: int = 16,
        as_float: bool = False,
        bitrate: int = 320,
        preset: int = 2,
        rounding: Rounding = "truncate",
        scratch: Path,
        name: Path | None = None,
    ) -> None:
        check_clip(clip)
        self._path = Path(path)
        self._name = self._path if name is None else name
        self._channels = channels
        self._clip: ClipMode = clip
        self._wav = (bits, as_float) if self._path.suffix.lower() == ".wav" else None
        self._frames = 0
        self._peak: Any = 0
        self._dtype: np.dtype[Any] | None = None
        self._spool: IO[bytes] | None = None
        self._file: IO[bytes] | None = None
        with self._cleaning():
            self._file = self._path.open("wb")
            self._encoder: Encoder = make_encoder(
                self._file, self._path.suffix, rate, channels, bits, as_float, bitrate, preset,
                rounding,
            )  # fmt: skip
        if clip == "rescale":
            with self._cleaning(scratch):
                self._spool = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115
        self._scratch = scratch

    def write(self, block: Array) -> None:
        """Add floating point samples (A, n), n >= 0, of the same dtype every time.

        Raises:
            AudioError: NaN or infinite samples, more than a WAV can hold, disk full. The file
                is removed then.
            ValueError: another shape or dtype.
        """
        self._check(block)
        with self._cleaning():
            check_samples(block, str(self._name), self._frames)
            if self._spool is None:
                self._encoder.write(_clipped(block, self._clip))
            elif self._wav is not None:
                check_wav_size((self._frames + block.shape[1]) * self._channels, *self._wav)
        if self._spool is not None:
            with self._cleaning(self._scratch):
                self._spool.write(block.T.tobytes())
            self._peak = max(self._peak, _peak(block))
        self._frames += block.shape[1]

    def _check(self, block: Array) -> None:
        if self._file is None:
            raise ValueError(f"{self._name}: write() after close() or abort().")
        if self._dtype is None:
            self._dtype = block.dtype
        if block.ndim != 2 or block.shape[0] != self._channels or block.dtype != self._dtype:
            raise ValueError(
                f"{self._name}: expected {self._dtype} ({self._channels} channels, samples), got "
                f"{block.dtype} {block.shape}."
            )
        if block.dtype.kind != "f":
            raise ValueError(f"{self._name}: expected floating point, got {block.dtype}.")

    def close(self) -> None:
        """Finish the file. After `close` or `abort` it does nothing.

        Raises:
            AudioError: disk full. The file is removed then.
        """
        if self._file is None:
            return
        with self._cleaning():
            for block in self._spooled():
                self._encoder.write(block)
            self._encoder.close()
            self._file.close()
        self._release()

    def _spooled(self) -> Iterator[Array]:
        """What waits in the spool, rescaled."""
        if self._spool is None or self._dtype is None:
            return
        divisor = _divisor(self._peak, self._dtype)
        size = BLOCK * self._channels * self._dtype.itemsize
        with self._cleaning(self._scratch):  # writes what is buffered
            self._spool.seek(0)
        while data := self._spool.read(size):
            yield np.frombuffer(data, self._dtype).reshape(-1, self._channels).T / divisor

    def abort(self) -> None:
        """Remove the file and everything else. After `close` it does nothing."""
        if self._file is None:
            return
        self._release()
        self._path.unlink(missing_ok=True)

    def _release(self) -> None:
        for file in (self._spool, self._file):
            if file is not None:
                with suppress(OSError):  # of a full disk: it has been reported
                    file.close()
        self._spool = self._file = None

    @contextmanager
    def _cleaning(self, place: Path | None = None) -> Iterator[None]:
        """Remove everything after an exception; a failure to write becomes an AudioError."""
        try:
            yield
        except BaseException as error:
            self.abort()
            if isinstance(error, OSError):
                raise AudioError(not_written(place or self._name, error)) from error
            raise


def encode_audio(
    wav: Array,
    rate: int,
    suffix: str,
    clip: ClipMode = "rescale",
    bits: int = 16,
    as_float: bool = False,
    bitrate: int = 320,
    preset: int = 2,
    rounding: Rounding = "truncate",
) -> memoryview:
    """The bytes of an audio file.

    Args:
        wav: floating point (A, T).
        rate: sample rate in Hz.
        suffix: ".wav", ".flac" or ".mp3".
        clip, bits, as_float, bitrate, preset, rounding: see `StemWriter`.

    Raises:
        AudioError: NaN or infinite samples, more than a WAV can hold, or a rate or channel count
            that the format can't have.
        ValueError: a format that is not offered.

    Reference: demucs/audio.py::save_audio
    """
    check_clip(clip)
    if wav.ndim != 2 or wav.dtype.kind != "f":
        raise ValueError(
            f"expected floating point (channels, samples), got {wav.dtype} {wav.shape}."
        )
    buffer = io.BytesIO()
    encoder = make_encoder(
        buffer, suffix, rate, len(wav), bits, as_float, bitrate, preset, rounding
    )
    check_samples(wav, "output")
    if suffix.lower() == ".wav":
        check_wav_size(wav.size, bits, as_float)
    divisor = _divisor(_peak(wav), wav.dtype) if clip == "rescale" else None
    for block in blocks_of(wav):
        encoder.write(_clipped(block, clip) if divisor is None else block / divisor)
    encoder.close()
    return buffer.getbuffer()


def write_audio(
    path: str | PathLike[str],
    wav: Array,
    rate: int,
    clip: ClipMode = "rescale",
    bits: int = 16,
    as_float: bool = False,
    bitrate: int = 320,
    preset: int = 2,
    rounding: Rounding = "truncate",
) -> None:
    """Write `wav` (A, T) to a .wav, .flac or .mp3 file, whole or not at all; see `encode_audio`.

    Raises:
        AudioError: as `encode_audio`; no such folder, not writable, disk full.
        ValueError: a format that is not offered.

    Reference: demucs/audio.py::save_audio
    """
    path = Path(path)
    data = encode_audio(wav, rate, path.suffix, clip, bits, as_float, bitrate, preset, rounding)
    try:
        with write_whole(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise AudioError(not_written(path, error)) from error


def save_audio(
    wav: Array,
    path: str | PathLike[str],
    samplerate: int,
    bitrate: int = 320,
    clip: ClipMode = "rescale",
    bits_per_sample: int = 16,
    as_float: bool = False,
    preset: int = 2,
) -> None:
    """Write `wav` (A, T) to a .wav, .flac or .mp3 file, as `demucs.api.save_audio`.

    Whole or not at all. See `write_audio`, and `StemWriter` for the arguments; with `as_float`,
    `bits_per_sample` does not matter.

    Raises:
        AudioError: NaN or infinite samples, no such folder, not writable, disk full, or a rate or
            channel count that the format can't have.
        ValueError: a format that is not offered.

    Reference: demucs/audio.py::save_audio
    """
    wav = np.asarray(wav)
    write_audio(path, wav, samplerate, clip, bits_per_sample, as_float, bitrate, preset)
