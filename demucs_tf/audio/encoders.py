"""WAV, FLAC and MP3, block by block. Blocks are (channels, samples), in [-1, 1] or to be cut there.

An encoder writes to a binary file that can seek; closing that is left to the caller.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import soundfile

from demucs_tf.audio.format import Format, Rounding
from demucs_tf.audio.tags import id3, info_list
from demucs_tf.errors import AudioError

Array = npt.NDArray[Any]

# RIFF counts in 32 bits what comes after its first 8 bytes: 50 bytes of header, perhaps a pad.
WAV_BYTES = (1 << 32) - 1 - 51
# Which bit rates in kbit/s MP3 has at which sample rates: MPEG-2.5, MPEG-2 and MPEG-1.
_BITRATES = (
    ((8000, 11025, 12000), (8, 16, 24, 32, 40, 48, 56, 64)),
    ((16000, 22050, 24000), (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)),
    ((32000, 44100, 48000), (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)),
)
MP3_BITRATES = {rate: bitrates for rates, bitrates in _BITRATES for rate in rates}


class Encoder(Protocol):
    """Turns samples into the bytes of a file."""

    def write(self, block: Array) -> None:
        """Add floating point samples (A, n)."""

    def close(self) -> None:
        """Write what is missing, so that the file is complete."""


def make_encoder(file: BinaryIO, form: Format, rate: int, channels: int) -> Encoder:
    """The encoder of a format.

    Raises:
        AudioError: the format can't have that rate (Hz) or channel count.
    """
    kind: Callable[..., Encoder] = _Wav if form.is_wav else _Mp3 if form.is_mp3 else _Flac
    return kind(file, form, rate, channels)


def check_wav_size(samples: int, form: Format) -> None:
    """AudioError if a WAV can't hold so many samples (frames times channels)."""
    size = samples * form.sample_bytes + len(info_list(form.tags))
    if size > WAV_BYTES:
        raise AudioError(f"a WAV file can't hold {size} bytes; write FLAC, or split the track.")


class _Wav:
    """WAV as the reference writes it, and tags; RIFF wants a pad byte after an odd chunk.

    Reference: demucs/audio.py::encode_wav
    """

    def __init__(self, file: BinaryIO, form: Format, rate: int, channels: int) -> None:
        self._file = file
        self._format = form
        self._rate = rate
        self._channels = channels
        self._samples = 0
        self._tags = info_list(form.tags)
        file.write(self._header())

    def write(self, block: Array) -> None:
        """Add samples; AudioError beyond 4 GiB."""
        check_wav_size(self._samples + block.size, self._format)
        self._file.write(self._data(block))
        self._samples += block.size

    def close(self) -> None:
        """Pad, add the tags, and state the length in the header."""
        self._file.write(bytes(self._size() % 2) + self._tags)
        self._file.seek(0)
        self._file.write(self._header())
        self._file.seek(0, 2)

    def _data(self, block: Array) -> bytes:
        if self._format.as_float:
            return block.T.astype("<f4").tobytes()
        samples = integers(block, self._format.bits, self._format.rounding).T
        if self._format.bits == 16:
            return samples.astype("<i2", copy=False).tobytes()
        return samples.astype("<i4", order="C").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()

    def _header(self) -> bytes:
        width = self._format.sample_bytes
        frame = self._channels * width
        kind = 3 if self._format.as_float else 1
        chunks = b"fmt " + struct.pack(
            "<IHHIIHH", 16, kind, self._channels, self._rate, self._rate * frame, frame, 8 * width
        )
        if self._format.as_float:
            chunks += b"fact" + struct.pack("<II", 4, self._samples // self._channels)
        size = self._size()
        chunks += b"data" + struct.pack("<I", size)
        whole = 4 + len(chunks) + size + size % 2 + len(self._tags)
        return b"RIFF" + struct.pack("<I", whole) + b"WAVE" + chunks

    def _size(self) -> int:
        return self._samples * self._format.sample_bytes


class _Flac:
    """FLAC by libsndfile."""

    def __init__(self, file: BinaryIO, form: Format, rate: int, channels: int) -> None:
        self._format = form
        self._target = _Remembering(file)
        try:
            self._file = soundfile.SoundFile(
                self._target, "w", rate, channels, f"PCM_{form.bits}", format="FLAC"
            )
        except soundfile.LibsndfileError as error:
            self._target.check()
            raise AudioError(
                f"FLAC can't have {channels} channels at {rate} Hz: {error.error_string} "
                "Write WAV, or convert the audio."
            ) from error
        for name, text in form.tags.items():
            self._call(setattr, self._file, name, text)

    def write(self, block: Array) -> None:
        self._call(self._file.write, integers(block, self._format.bits, self._format.rounding).T)

    def close(self) -> None:
        """Flush, and state length and checksum in the header."""
        self._call(self._file.close)

    def _call(self, function: Any, *arguments: Any) -> None:
        try:
            function(*arguments)
        except (soundfile.LibsndfileError, AssertionError) as error:
            self._target.check()
            raise AudioError(f"FLAC: libsndfile can't encode it: {error}") from error
        self._target.check()


class _Remembering:
    """A file for libsndfile, whose callbacks lose exceptions: the first is kept.

    After it nothing is written, nor when the file has been closed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: BaseException | None = None

    def write(self, data: bytes) -> int:
        return self._try(self._file.write, data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._try(self._file.seek, offset, whence)

    def tell(self) -> int:
        return self._try(self._file.tell)

    def read(self, size: int) -> bytes:
        raise io.UnsupportedOperation("a file that is being written")

    def _try(self, function: Callable[..., int], *arguments: Any) -> int:
        if self._error is None:
            try:
                return function(*arguments)
            except BaseException as error:
                self._error = error
        return 0

    def check(self) -> None:
        """Raise what was met."""
        if self._error is not None:
            raise self._error


class _Mp3:
    """MP3 by LAME, of samples with 16 bits, with the reference's settings.

    Reference: demucs/audio.py::encode_mp3
    """

    def __init__(self, file: BinaryIO, form: Format, rate: int, channels: int) -> None:
        # LAME would take another rate of either kind without a word.
        if rate not in MP3_BITRATES:
            rates = ", ".join(map(str, MP3_BITRATES))
            raise AudioError(f"MP3 has {rates} Hz, not {rate}. Write WAV or FLAC.")
        if min(form.bitrate, MP3_BITRATES[rate][-1]) not in MP3_BITRATES[rate]:
            bitrates = ", ".join(map(str, MP3_BITRATES[rate]))
            wanted = f"{bitrates} kbit/s, not {form.bitrate}"
            raise AudioError(f"an MP3 of {rate} Hz has {wanted}: choose one of them.")
        if channels > 2:
            raise AudioError(f"MP3 has 1 or 2 channels, not {channels}. Write WAV or FLAC.")
        self._file = file
        self._format = form
        self._encoder = _lame()
        self._encoder.set_bit_rate(form.bitrate)
        self._encoder.set_in_sample_rate(rate)
        self._encoder.set_out_sample_rate(rate)
        self._encoder.set_channels(channels)
        self._encoder.set_quality(form.preset)
        self._encoder.silence()
        file.write(id3(form.tags))

    def write(self, block: Array) -> None:
        samples = integers(block, 16, self._format.rounding).T
        self._file.write(self._encoder.encode(samples.tobytes()))

    def close(self) -> None:
        """Encode what LAME still holds."""
        self._file.write(self._encoder.encode(b""))  # it can't be flushed before any call
        self._file.write(self._encoder.flush())


def _lame() -> Any:
    try:
        import lameenc
    except ImportError as error:
        raise AudioError("MP3 is written by lameenc: pip install lameenc.") from error
    return lameenc.Encoder()


def integers(wav: Array, bits: int, rounding: Rounding = "truncate") -> Array:
    """Scale to integers, by default towards zero; 24 bits lie in the upper bytes of an int32.

    "round" takes the nearest instead, of two the even one, which halves the largest error.

    Reference: demucs/audio.py::_pcm_bytes
    """
    scaled = np.clip(wav, -1, 1) * wav.dtype.type(2 ** (bits - 1) - 1)
    if rounding == "round":
        np.rint(scaled, out=scaled)
    return scaled.astype(np.int16) if bits == 16 else scaled.astype(np.int32) << 8
