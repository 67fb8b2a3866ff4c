"""Audio files: read and write. Arrays are (channels, samples)."""

from __future__ import annotations

import io
import os
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import soundfile

from demucs_tf.errors import AudioError
from demucs_tf.utils.files import write_whole
from demucs_tf.utils.truncation import UNKNOWN_LENGTH, reason_for_truncation

Array = npt.NDArray[Any]
ClipMode = Literal["rescale", "clamp", "none"]

_READ_FRAMES = 1 << 20
_WAV_BYTES = (1 << 32) - (1 << 16)  # RIFF counts bytes in 32 bits; some are left for the header
_SUBTYPES = {".wav": {16: "PCM_16", 24: "PCM_24"}, ".flac": {16: "PCM_16", 24: "PCM_24"}}


def read_audio(path: str | PathLike[str]) -> tuple[Array, int]:
    """Read a WAV, FLAC, OGG or MP3 file, or another format that libsndfile knows.

    Integer samples become floats in [-1, 1). MP3 comes without the encoder's delay, so stems
    line up with the original; the reference's first reader (sphn) keeps it.

    A file that is cut short is an error wherever that can be known. It can't in an MP3 without
    a Xing/Info header, in an MP3 that lacks no more than its last frame, and in a WAV that was
    written to a pipe (its header says no length). Nor is damage inside an MP3 or OGG known.

    Returns:
        float32 (A, T), T >= 1, and the sample rate in Hz.

    Raises:
        AudioError: no such file, not a file, empty, not audio, cut short, without samples, or
            with samples that are NaN or infinite.
    """
    path = Path(path)
    check_file(path)
    blocks, rate = _decode(path)
    if not blocks:
        raise AudioError(f"{path}: expected audio, found a file with 0 samples.")
    wav = np.ascontiguousarray(np.concatenate(blocks).T)
    check_samples(wav, str(path))
    return wav, rate


def _decode(path: Path) -> tuple[list[Array], int]:
    """Blocks of float32 (frames, A), and the rate. A header's frame count is not relied on."""
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a name that ends in .raw
        raise AudioError(_unreadable(path, error)) from error
    blocks: list[Array] = []
    with file:
        if file.frames > UNKNOWN_LENGTH:
            raise AudioError(
                f"{path}: its header says no length, and libsndfile can't read such a "
                f'{file.format} to its end. Convert it first: ffmpeg -i "{path.name}" out.wav'
            )
        try:
            while len(block := file.read(_READ_FRAMES, dtype="float32", always_2d=True)):
                blocks.append(block)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"{path}: damaged or cut short: it can't be decoded to its end "
                f"({error.error_string.rstrip('.')}). Get a whole copy of the file."
            ) from error
        cut = reason_for_truncation(path, file, sum(map(len, blocks)))
        if cut:
            raise AudioError(f"{path}: cut short: {cut}. Get a whole copy of the file.")
        return blocks, int(file.samplerate)


def check_file(path: Path) -> None:
    """AudioError unless `path` is a readable file with something in it."""
    if path.is_dir():
        raise AudioError(f"{path}: expected an audio file, found a folder. Name the files in it.")
    if not path.exists():
        raise AudioError(
            f"{path}: no such file. If its name has spaces, put it in quotes on a command line."
        )
    if not path.is_file():
        raise AudioError(f"{path}: expected an audio file, found a device or a pipe.")
    if not path.stat().st_size:
        raise AudioError(f"{path}: expected an audio file, found an empty one (0 bytes).")
    if not os.access(path, os.R_OK):
        raise AudioError(f"{path}: no permission to read it. Check its owner and mode.")


def _unreadable(path: Path, error: Exception) -> str:
    # libsndfile says "does not exist" (7) of any file named .mp3 in which it finds no MP3.
    found = getattr(error, "error_string", "").rstrip(".")
    detail = f" ({found})" if found and getattr(error, "code", None) != 7 else ""
    return (
        f"{path}: expected WAV, FLAC, OGG or MP3 audio, found something else or damaged "
        f'data{detail}. If a player plays it, convert it first: ffmpeg -i "{path.name}" out.wav'
    )


def check_samples(wav: Array, name: str) -> None:
    """AudioError if `wav` (A, T) has a sample that is NaN or infinite."""
    finite = np.isfinite(wav)
    if not finite.all():
        count = finite.size - int(np.count_nonzero(finite))
        first = int(np.flatnonzero(~finite.all(axis=0))[0])
        raise AudioError(
            f"{name}: expected finite samples, found {count} NaN or infinite, the first at "
            f"sample {first}. Repair the audio, or export it again."
        )


def prevent_clip(wav: Array, mode: ClipMode = "rescale") -> Array:
    """Bring samples into [-1, 1] before they are written.

    "rescale" divides by 1.01 times the peak if that is above 1. "clamp" cuts at 0.99. "none"
    leaves `wav` alone.
    QUIRK demucs/audio.py:287: "rescale" takes each stem on its own, so relative levels change.

    Raises:
        ValueError: another mode.

    Reference: demucs/audio.py::prevent_clip
    """
    if mode == "none":
        return wav
    if mode == "rescale":
        scalar = wav.dtype.type
        return wav / max(scalar(1.01) * np.max(np.abs(wav), initial=0), scalar(1))
    if mode == "clamp":
        return np.clip(wav, -0.99, 0.99)
    raise ValueError(f'clip must be "rescale", "clamp" or "none", got {mode!r}.')


def encode_audio(
    wav: Array,
    rate: int,
    suffix: str,
    clip: ClipMode = "rescale",
    bits: int = 16,
    as_float: bool = False,
) -> memoryview:
    """The bytes of an audio file.

    Args:
        wav: floating point (A, T).
        rate: sample rate in Hz.
        suffix: ".wav" or ".flac".
        clip: see `prevent_clip`. Integers are clamped to [-1, 1] in any case.
        bits: 16 or 24, of integer samples.
        as_float: float32 samples, WAV only. With clip "none" they are written as they are;
            the reference clamps them (demucs/audio.py:240).

    Raises:
        AudioError: NaN or infinite samples, or more than a WAV can hold.
        ValueError: a format that is not offered.

    Reference: demucs/audio.py::save_audio
    """
    subtype = _SUBTYPES.get(suffix.lower(), {}).get(bits)
    if subtype is None or (as_float and suffix.lower() != ".wav"):
        wanted = f"{suffix!r}, {'float32' if as_float else f'{bits} bits'}"
        raise ValueError(
            f'expected ".wav" (16 or 24 bits, or float32) or ".flac" (16 or 24 bits), got {wanted}.'
        )
    check_samples(wav, "output")
    wav = prevent_clip(wav, clip).T  # (T, A), as files have it
    if as_float:
        data, subtype = wav.astype(np.float32), "FLOAT"
    else:
        data = _integers(wav, bits)
    size = wav.size * (4 if as_float else bits // 8)
    if suffix.lower() == ".wav" and size > _WAV_BYTES:
        raise AudioError(f"a WAV file can't hold {size} bytes; write FLAC, or split the track.")
    buffer = io.BytesIO()
    soundfile.write(buffer, data, rate, subtype=subtype, format=suffix[1:].upper())
    return buffer.getbuffer()


def write_audio(
    path: str | PathLike[str],
    wav: Array,
    rate: int,
    clip: ClipMode = "rescale",
    bits: int = 16,
    as_float: bool = False,
) -> None:
    """Write `wav` (A, T) to a .wav or .flac file, whole or not at all; see `encode_audio`.

    Raises:
        AudioError: NaN or infinite samples, no such folder, not writable, disk full.
        ValueError: a format that is not offered.

    Reference: demucs/audio.py::save_audio
    """
    path = Path(path)
    data = encode_audio(wav, rate, path.suffix, clip, bits, as_float)
    try:
        with write_whole(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise AudioError(not_written(path, error)) from error


def not_written(path: Path, error: OSError) -> str:
    """What to say when `path` could not be written."""
    reason = error.strerror or str(error)
    return f"{path}: can't write it: {reason}. Free some space, or choose another folder."


def _integers(wav: Array, bits: int) -> Array:
    """Scale to integers, towards zero; 24 bits lie in the upper bytes of an int32.

    Reference: demucs/audio.py::_pcm_bytes
    """
    scaled = np.clip(wav, -1, 1) * wav.dtype.type(2 ** (bits - 1) - 1)
    return scaled.astype(np.int16) if bits == 16 else scaled.astype(np.int32) << 8
