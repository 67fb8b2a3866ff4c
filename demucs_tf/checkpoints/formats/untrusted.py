"""What the readers of files from outside share: opening, JSON, plain data, one kind of error."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from demucs_tf.errors import CheckpointError, ModelNotFoundError
from demucs_tf.models.config import CONFIGS
from demucs_tf.models.ranges import SHORTEST_SEGMENT
from demucs_tf.utils.text import brief, printable, reason_of, shown

Array = npt.NDArray[Any]

CLASSES = tuple(CONFIGS)
_MAX_DEPTH = 8
_MAX_ITEMS = 10_000


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Open a checkpoint; whatever goes wrong in the block is one error that names the file.

    Raises:
        ModelNotFoundError: there is no such file.
        CheckpointError: it can't be read, is no regular file, or the block failed.
    """
    path = Path(path)
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CheckpointError(
                    "the checkpoint can't be read (it is no regular file). Give the path of a file"
                )
            yield file
    except CheckpointError as error:
        text = str(error)
        raise CheckpointError(f"{path}: {text}{'' if text.endswith('.') else '.'}") from error
    except FileNotFoundError as error:
        raise ModelNotFoundError(
            f"{path}: no such file. Check the path of the checkpoint."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{path}: the checkpoint can't be read ({reason_of(error)})."
        ) from error
    except Exception as error:  # a malformed file may fail anywhere: it is one error to the user
        raise CheckpointError(
            f"{path}: the file is damaged ({type(error).__name__}: {shown(error)}). Get it again."
        ) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a named pipe would keep us until someone writes into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def parse_json(text: str | bytes, what: str, limit: int) -> Any:
    """JSON of at most `limit` bytes or characters, strictly.

    Raises:
        CheckpointError: it is too long, malformed, has a key twice, or NaN, infinity or a number
            too large for a float.
    """
    if len(text) > limit:
        raise CheckpointError(f"{what} has {len(text)} bytes, more than {limit}")
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite_float,
            parse_int=_short_integer,
        )
    except RecursionError as error:
        raise CheckpointError(f"{what} is nested too deeply") from error
    except ValueError as error:
        raise CheckpointError(f"{what} is no JSON as it should be ({shown(error)})") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _finite_float(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _short_integer(text: str) -> int:
    if len(text) > 20:
        raise ValueError("a number is too large")
    return int(text)


def known_class(name: str) -> str:
    """The name of a class of the reference, if it is one of the four that have a port."""
    if name not in CLASSES:
        raise CheckpointError(
            f"wanted one of the classes {', '.join(CLASSES)}, found {shown(name)}"
        )
    return name


@contextmanager
def made_from(arguments: Mapping[str, object], name: str) -> Iterator[None]:
    """Tell of whatever goes wrong in the block, where a file's arguments become a model.

    Raises:
        CheckpointError: the block failed.
    """
    try:
        yield
    except Exception as error:  # arguments from a file may fail in any way
        raise CheckpointError(
            f"{name} can't be made from its constructor arguments: "
            f"{printable(str(error), 300)} They are: {brief(arguments, 2000)}"
        ) from error


def check_segment(seconds: float | Fraction) -> None:
    """Refuse a segment that would cut a song into a hundred thousand pieces."""
    if seconds < SHORTEST_SEGMENT:
        raise CheckpointError(
            f"a segment of {float(seconds):g} s is too short: wanted at least {SHORTEST_SEGMENT} s."
        )


def plain(
    value: object,
    where: str,
    leaves: tuple[type, ...] = (),
    depth: int = _MAX_DEPTH,
    items: int = _MAX_ITEMS,
) -> Any:
    """A copy of a nested value; anything but plain data and `leaves` is refused.

    Long texts count as several items: one text may be there many times in little space.
    """
    budget = items

    def copy(item: object, level: int) -> object:
        nonlocal budget
        budget -= 1 + (len(item) // 100 if isinstance(item, str | bytes) else 0)
        if budget < 0 or level > depth:
            raise CheckpointError(f"its {where} have too many items or are nested too deeply")
        if item is None or type(item) is str or isinstance(item, (int, float, Fraction, *leaves)):
            return item
        if isinstance(item, list | tuple):
            return type(item)(copy(each, level + 1) for each in item)
        if isinstance(item, dict):
            return {key: copy(each, level + 1) for key, each in item.items()}
        raise CheckpointError(
            f"its {where} hold a {type(item).__name__}, wanted plain data (text, numbers, "
            "fractions, lists, tuples, dictionaries)"
        )

    return copy(value, 0)


def widened(stored: Array, *, is_bfloat16: bool = False, keep_half: bool = False) -> Array:
    """The same numbers, contiguous and in this machine's byte order, half precision as float32.

    Args:
        stored: as a file has them.
        is_bfloat16: `stored` are the 16 bits of each number, the upper half of a float32.
        keep_half: leave float16 as it is, and where it is.
    """
    if keep_half and stored.dtype == np.float16:
        return stored
    if is_bfloat16:
        return (stored.astype(np.uint32, order="C") << np.uint32(16)).view(np.float32)
    native = stored.dtype.newbyteorder("=")
    return stored.astype(np.float32 if native == np.float16 else native, order="C", copy=False)


def finite(key: str, array: Array) -> Array:
    """The same array, unless some of its numbers are NaN or infinite."""
    if np.issubdtype(array.dtype, np.inexact):
        bad = array.size - int(np.count_nonzero(_are_finite(array)))
        if bad:
            raise CheckpointError(f"the weight {shown(key)} has {bad} values that are NaN or Inf")
    return array


def _are_finite(array: Array) -> Array:
    if array.dtype != np.float16:
        return np.isfinite(array)
    exponent = np.uint16(0x7C00)  # all ones for NaN and Inf; NumPy would take five times as long
    return (array.view(np.uint16) & exponent) != exponent
