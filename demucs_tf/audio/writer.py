"""Write audio files, whole or as a stream. Arrays are (channels, samples)."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from demucs_tf.audio.checks import check_rate, check_samples, not_written
from demucs_tf.audio.convert import BLOCK, blocks_of
from demucs_tf.audio.encoders import Encoder, check_wav_size, make_encoder
from demucs_tf.audio.format import ClipMode, Format, check_clip
from demucs_tf.errors import AudioError
from demucs_tf.utils.atomic import Closing, write_whole

Array = npt.NDArray[Any]


def prevent_clip(wav: Array, mode: ClipMode | None = "rescale") -> Array:
    """Bring samples into [-1, 1] before they are written.

    "rescale" divides by 1.01 times the peak if that is above 1. "clamp" cuts at 0.99. "tanh"
    bends everything. "none" or None leaves `wav` alone.
    QUIRK demucs/audio.py:287: "rescale" takes each stem on its own, so relative levels change.

    Raises:
        ValueError: another mode.

    Reference: demucs/audio.py::prevent_clip
    """
    mode = mode or "none"
    check_clip(mode)
    if mode == "rescale":
        return wav / _divisor(_peak(wav), wav.dtype)
    return _clipped(wav, mode)


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

    The bytes are those that `encode_audio` gives for the joined blocks. As a context manager it
    closes the file, or after an exception removes it.

    With clip "rescale" the gain is known only at the end: samples wait in a nameless file in
    `scratch`, 4 or 8 bytes each, and are encoded by `close`.

    Args:
        path: what is written, a temporary name that the caller renames.
        rate: in Hz.
        channels: A.
        form: the format; None: what the path's suffix says, with the defaults of `Format`.
        scratch: a folder on a disk with room, for "rescale".
        name: what messages call the file; None: `path`.

    Raises:
        AudioError: the file can't be made, or its format can't have that rate or channel count.
        ValueError: a suffix that is not offered.

    Reference: demucs/audio.py::save_audio
    """

    def __init__(
        self,
        path: str | PathLike[str],
        rate: int,
        channels: int,
        form: Format | None = None,
        *,
        scratch: Path,
        name: Path | None = None,
    ) -> None:
        self._path = Path(path)
        self._name = self._path if name is None else name
        self._channels = channels
        self._format = Format(self._path.suffix) if form is None else form
        self._frames = 0
        self._peak: Any = 0
        self._dtype: np.dtype[Any] | None = None
        self._spool: IO[bytes] | None = None
        self._file: IO[bytes] | None = None
        with self._cleaning():
            self._file = self._path.open("wb")
            self._encoder: Encoder = make_encoder(self._file, self._format, rate, channels)
        if self._format.clip == "rescale":
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
                self._encoder.write(_clipped(block, self._format.clip))
            elif self._format.is_wav:
                check_wav_size((self._frames + block.shape[1]) * self._channels, self._format)
        if self._spool is not None:
            with self._cleaning(self._scratch):
                self._spool.write(block.T.tobytes())
            self._peak = max(self._peak, _peak(block))
        self._frames += block.shape[1]

    def _check(self, block: Array) -> None:
        if self._file is None:
            raise ValueError(f"{self._name}: write() after close() or abort().")
        wanted = "float32 or float64" if self._dtype is None else str(self._dtype)
        if (
            block.ndim != 2
            or block.shape[0] != self._channels
            or block.dtype.name not in wanted.split(" or ")
        ):
            raise ValueError(
                f"{self._name}: expected {wanted} ({self._channels} channels, samples), got "
                f"{block.dtype} {block.shape}."
            )
        self._dtype = block.dtype

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


def encode_audio(wav: Array, rate: int, form: Format) -> memoryview:
    """The bytes of an audio file.

    Args:
        wav: float32 or float64 (A, T).
        rate: sample rate in Hz.
        form: the format.

    Raises:
        AudioError: NaN or infinite samples, more than a WAV can hold, or a rate or channel count
            that the format can't have.
        ValueError: another shape or dtype.

    Reference: demucs/audio.py::save_audio
    """
    if wav.ndim != 2 or wav.dtype.name not in ("float32", "float64"):
        raise ValueError(
            f"expected float32 or float64 (channels, samples), got {wav.dtype} {wav.shape}."
        )
    buffer = io.BytesIO()
    encoder = make_encoder(buffer, form, rate, len(wav))
    check_samples(wav, "output")
    if form.is_wav:
        check_wav_size(wav.size, form)
    divisor = _divisor(_peak(wav), wav.dtype) if form.clip == "rescale" else None
    for block in blocks_of(wav):
        encoder.write(_clipped(block, form.clip) if divisor is None else block / divisor)
    encoder.close()
    return buffer.getbuffer()


def save_audio(
    wav: Array,
    path: str | PathLike[str],
    samplerate: int,
    bitrate: int = 320,
    clip: ClipMode | None = "rescale",
    bits_per_sample: int = 16,
    as_float: bool = False,
    preset: int = 2,
) -> None:
    """Write a .wav, .flac or .mp3 file, as `demucs.api.save_audio`, but whole or not at all.

    Args:
        wav: float32 or float64 (A, T).
        path: of the file.
        samplerate: in Hz.
        bitrate, clip, as_float, preset: see `demucs_tf.audio.format.Format`.
        bits_per_sample: its `bits`; with `as_float` it does not matter.

    Raises:
        AudioError: NaN or infinite samples, no such folder, not writable, disk full, or a rate or
            channel count that the format can't have.
        ValueError: a format that is not offered, another shape or dtype, or a rate that is no
            whole number above 0.

    Reference: demucs/audio.py::save_audio
    """
    path = Path(path)
    check_rate(samplerate)
    form = Format(
        path.suffix,
        bits=bits_per_sample,
        as_float=as_float,
        bitrate=bitrate,
        preset=preset,
        clip=clip or "none",
    )
    data = encode_audio(np.asarray(wav), int(samplerate), form)
    try:
        with write_whole(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise AudioError(not_written(path, error)) from error
