"""Arrays in one row of numbers, each once, beside a manifest that says where each lies.

NAME.npz has the row, without pickles, and NAME.2.npz and so on what is too much for one file;
NAME.json the manifest, sealed with a hash of the row and of itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core.files import json_file
from parity.core.files.atomic import write_whole

Array = npt.NDArray[Any]

_MOST = 500_000  # numbers in a file, 4 MB: a repository takes no large ones


class Row:
    """Puts arrays one behind the other."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._arrays: list[Array] = []
        self._length = 0

    def store(self, array: Array) -> list[Any]:
        """Where the array lies: its first number, its type, its shape."""
        # Found by content alone: a reshaped view is the same numbers.
        content = np.ascontiguousarray(array).tobytes()
        if content not in self._places:
            self._places[content] = self._length
            self._arrays.append(array.astype(np.float64).ravel())
            self._length += array.size
        return [self._places[content], array.dtype.char, *array.shape]

    def numbers(self) -> Array:
        """All of them."""
        return np.concatenate(self._arrays)


class Restorer:
    """Takes arrays out of a row again, and notes what was taken."""

    def __init__(self, numbers: Array) -> None:
        self._numbers = numbers
        self._used = np.zeros(len(numbers), bool)
        self._arrays: dict[tuple[Any, ...], Array] = {}

    def __call__(self, entry: Any) -> Array:
        """The array of an entry that `Row.store` gave: the same one each time."""
        key = tuple(entry)
        if key not in self._arrays:
            start, dtype, *shape = entry
            stop = start + math.prod(shape)
            self._used[start:stop] = True
            self._arrays[key] = self._numbers[start:stop].reshape(shape).astype(dtype)
        return self._arrays[key]

    @property
    def whole(self) -> bool:
        """Whether every number was taken."""
        return bool(self._used.all())


def write(path: Path, manifest: dict[str, Any], row: Row, by_line: str) -> None:
    """Seal and write a manifest and its row; the items of its list `by_line` get a line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    manifest = json_file.plain(manifest)
    numbers = row.numbers()
    manifest["numbers_sha256"] = hash_of(numbers)
    manifest["manifest_sha256"] = manifest_hash(manifest)
    parts = [numbers[start : start + _MOST] for start in range(0, max(1, len(numbers)), _MOST)]
    for name, part in zip(_names(path), parts, strict=False):
        archive = io.BytesIO()
        np.savez_compressed(archive, numbers=part)
        write_whole(name, archive.getvalue())
    for name in _names(path, len(parts)):
        if not name.exists():
            break
        name.unlink()  # of a longer row
    write_whole(path, _lines(manifest, by_line))


def _names(path: Path, first: int = 0) -> Iterator[Path]:
    """The files that a row may have, beside its manifest."""
    return (path.with_suffix(f".{n + 1}.npz" if n else ".npz") for n in count(first))


def whole_name(name: str) -> str:
    """The file's name without the number of a part."""
    return re.sub(r"\.\d+\.npz$", ".npz", name)


def read_manifest(path: Path, version: int) -> dict[str, Any]:
    """A manifest as it was written; one of `json_file.DAMAGED` for anything else."""
    manifest = json_file.read(path)
    if manifest["format"] != version:
        raise ValueError(f"format {manifest['format']}, expected {version}")
    if manifest["manifest_sha256"] != manifest_hash(manifest):
        raise ValueError("it was altered")
    return dict(manifest)


def read_row(path: Path) -> Array:
    """The row of a manifest.

    Raises:
        ValueError: it is missing, truncated, or no row of float64.
    """
    more = takewhile(Path.exists, _names(path, 1))
    return np.concatenate([_part(each) for each in (next(_names(path)), *more)])


def _part(path: Path) -> Array:
    try:
        if path.exists() and not path.is_file():
            raise ValueError("expected a file, found a folder, a pipe or a device")
        # Opened here, because np.load leaves the file open when it is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            numbers: Array = archive["numbers"]
        if numbers.ndim != 1 or numbers.dtype != np.float64:
            raise ValueError(f"expected a row of float64, found {numbers.dtype}")
    except (*json_file.DAMAGED, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is missing, truncated or altered ({error})") from error
    return numbers


def hash_of(numbers: Array) -> str:
    """The hash by which a manifest knows its row."""
    return hashlib.sha256(numbers.tobytes()).hexdigest()


def _lines(manifest: dict[str, Any], by_line: str) -> str:
    """JSON with a line for each entry, so that a change can be read."""
    entries = []
    for key, value in manifest.items():
        text = json_file.text_of(value, separators=(",", ":"), default=str)
        if key == by_line:
            lines = (json_file.text_of(item, separators=(",", ":")) for item in value)
            text = "[\n" + ",\n".join(lines) + "\n]"
        entries.append(f"{json.dumps(key)}:{text}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def manifest_hash(manifest: dict[str, Any]) -> str:
    """Over everything else in the manifest: floors are tolerances, and leaves are coverage."""
    rest = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
