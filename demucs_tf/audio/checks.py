"""What is wrong with an audio file or with samples, said before anything is done with them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs_tf.errors import AudioError
from demucs_tf.utils.text import reason_of

if TYPE_CHECKING:
    import numpy.typing as npt


def check_file(path: Path) -> None:
    """AudioError unless `path` is a readable file with something in it."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioError(
            f"{path}: no such file. If its name has spaces, put it in quotes on a command line."
        ) from error
    except (OSError, ValueError) as error:  # a name that is too long, a folder that is closed
        raise AudioError(f"{path}: it can't be opened: {reason_of(error)}.") from error
    if stat.S_ISDIR(found.st_mode):
        raise AudioError(f"{path}: expected an audio file, found a folder. Name the files in it.")
    if not stat.S_ISREG(found.st_mode):
        raise AudioError(f"{path}: expected an audio file, found a device or a pipe.")
    if not found.st_size:
        raise AudioError(f"{path}: expected an audio file, found an empty one (0 bytes).")
    if not os.access(path, os.R_OK):
        raise AudioError(f"{path}: no permission to read it. Check its owner and mode.")


def check_samples(wav: npt.NDArray[Any], name: str, start: int | None = None) -> None:
    """AudioError if `wav` (A, T) has a sample that is NaN or infinite.

    Args:
        wav: the samples.
        name: what they are called in the message.
        start: the position of `wav` in a longer track, of which only this part is known.
    """
    import numpy as np

    finite = np.isfinite(wav)
    if not finite.all():
        count = finite.size - int(np.count_nonzero(finite))
        first = int(np.flatnonzero(~finite.all(axis=0))[0]) + (start or 0)
        least = "" if start is None else "at least "
        raise AudioError(
            f"{name}: expected finite samples, found {least}{count} NaN or infinite, the first at "
            f"sample {first}. Repair the audio, or export it again."
        )


def check_rate(rate: float) -> None:
    """ValueError unless `rate` is a whole number of Hz above 0."""
    try:
        fine = rate >= 1 and rate == int(rate)
    except (TypeError, ValueError, OverflowError):  # a text, NaN, infinity
        fine = False
    if not fine:
        raise ValueError(f"a sample rate must be a whole number of Hz above 0, got {rate!r}.")


def unreadable(path: Path, reason: str = "", tool: str = "", advice: str = "") -> str:
    """What to say of a file that no decoder knows."""
    formats = "WAV, FLAC, OGG or MP3 audio" + (f", or what {tool} reads" if tool else "")
    detail = f" ({reason})" if reason else ""
    convert = f'If a player plays it, convert it first: ffmpeg -i "{path.name}" out.wav'
    return (
        f"{path}: expected {formats}, found something else or damaged data{detail}. "
        f"{advice or convert}"
    )


def damaged(path: Path, reason: str) -> str:
    """What to say of a file that a decoder knows, but can't decode to its end."""
    return (
        f"{path}: damaged or cut short: it can't be decoded to its end ({reason}). "
        "Get a whole copy of the file."
    )


def not_written(path: Path, error: OSError) -> str:
    """What to say when `path` could not be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "Free some space, or choose" if full else "Choose"
    return f"{path}: can't write it: {reason_of(error)}. {advice} another folder."
