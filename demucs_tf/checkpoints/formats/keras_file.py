"""What a `.keras` file says that it holds, checked before Keras makes anything of it.

`safe_mode` of Keras refuses lambdas; in some versions a crafted configuration could still name
any function of any module, and crafted weights could name other files or fill the memory. Ours is
one of three classes, plain values and plain arrays, so nothing else gets that far.
"""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from demucs_tf.checkpoints.formats.plain_zip import PlainZip
from demucs_tf.checkpoints.formats.untrusted import parse_json, reading
from demucs_tf.checkpoints.limits import check_arguments
from demucs_tf.errors import CheckpointError
from demucs_tf.utils.text import printable, shown

_MAX_BYTES = 2**20
_ENTRIES = ("metadata.json", "config.json", "model.weights.h5")
# What Keras adds to the constructor's arguments.
_KERAS_NAMES = {"name", "trainable", "dtype"}
_MAX_DEPTH = 64
_MAX_OBJECTS = 20_000


def check_file(path: Path, classes: Mapping[str, type[Any]]) -> int:
    """Refuse a `.keras` file unless it holds one of `classes`, plain arguments and plain arrays.

    Args:
        path: of the file.
        classes: those registered as `demucs_tf>NAME`, by name.

    Returns:
        how many arrays its weights are.

    Raises:
        ModelNotFoundError: there is no such file.
        CheckpointError: it holds anything else, asks for a model far larger than its weights, or
            is damaged.
    """
    with reading(path) as file:
        archive = PlainZip(file, "Keras", "Save the model again")
        for name in _ENTRIES[1:]:
            if name not in archive.sizes:
                raise CheckpointError(
                    f"wanted a .keras file (a zip archive with {name}), found another archive"
                )
        for name in archive.sizes:
            if name not in _ENTRIES:
                raise CheckpointError(f"its entry {shown(name)} is none of {_ENTRIES}")
        if archive.sizes["config.json"] > _MAX_BYTES:
            raise CheckpointError(f"its config.json is longer than {_MAX_BYTES} bytes")
        contents = {name: archive.read(name) for name in archive.sizes}
        config = parse_json(contents["config.json"], "its config.json", _MAX_BYTES)
        cls, arguments = _class_and_arguments(config, classes)
        total, arrays = _count_numbers(contents["model.weights.h5"])
    try:
        check_arguments(cls, arguments, total, arrays=arrays)
    except Exception as error:  # arguments from a file may fail in any way
        raise CheckpointError(
            f"{path}: {cls.__name__} can't be made from its constructor arguments: "
            f"{printable(str(error), 300)}"
        ) from error
    return arrays


def _class_and_arguments(
    config: Any, classes: Mapping[str, type[Any]]
) -> tuple[type[Any], dict[str, Any]]:
    if not isinstance(config, dict):
        raise CheckpointError("its config.json is no object")
    found = config.get("registered_name"), config.get("class_name")
    cls = classes.get(found[1]) if isinstance(found[1], str) else None
    if cls is None or found[0] != f"demucs_tf>{found[1]}":
        wanted = ", ".join(f"demucs_tf>{name}" for name in classes)
        raise CheckpointError(
            f"wanted a saved {wanted}, found {shown(found[0])} (class {shown(found[1])})"
        )
    arguments = config.get("config")
    known = set(inspect.signature(cls).parameters) | _KERAS_NAMES
    if not isinstance(arguments, dict) or not arguments.keys() <= known:
        raise CheckpointError(f"its configuration is not that of a {cls.__name__}")
    for name, value in arguments.items():
        if not _is_plain(value):
            raise CheckpointError(f"its argument {name} is not plain data")
    if not str(arguments.get("name", "")).isprintable():
        raise CheckpointError(f"its name is no name: {shown(arguments['name'])}")
    segment = arguments.get("segment")
    if isinstance(segment, str):
        if not re.fullmatch("[0-9]{1,18}(/[0-9]{1,18})?", segment):
            raise CheckpointError(f"its segment is no fraction: {shown(segment)}")
        arguments = {**arguments, "segment": _fraction(segment)}
    return cls, arguments


def _fraction(text: str) -> Fraction | None:
    top, _, bottom = text.partition("/")
    return Fraction(int(top), int(bottom or 1)) if int(bottom or 1) else None


def _count_numbers(data: bytes) -> tuple[int, int]:
    """How many numbers and arrays the weights are; anything but plain arrays is refused."""
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            weights = _Weights(len(data))
            weights.walk(file)
            return weights.numbers, weights.arrays
    except CheckpointError:
        raise
    except Exception as error:  # HDF5 raises OSError, RuntimeError, ValueError, KeyError ...
        raise CheckpointError(
            f"its weights are damaged ({type(error).__name__}: {shown(error)}). Get the file again"
        ) from error


class _Weights:
    """Walks an HDF5 file: groups and arrays as Keras writes them, nothing that leads elsewhere."""

    def __init__(self, limit: int) -> None:
        self.numbers = self.arrays = 0
        self._limit = limit
        self._objects = self._bytes = 0

    def walk(self, group: Any, depth: int = 0, of_model: bool = True) -> None:
        """Count what is in the group and all below.

        Only floating point `of_model` counts: a compiled model's file has its optimizer as well,
        which is not read, and whose step is a whole number.
        """
        import h5py

        if depth > _MAX_DEPTH:
            raise CheckpointError("the groups of its weights are nested too deeply")
        for name in group:
            self._objects += 1
            if self._objects > _MAX_OBJECTS:
                raise CheckpointError("its weights have too many groups")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise CheckpointError(f"its weights link elsewhere ({shown(name)}): refused")
            item = group[name]
            if isinstance(item, h5py.Group):
                self.walk(item, depth + 1, of_model and (depth > 0 or name != "optimizer"))
            elif isinstance(item, h5py.Dataset):
                self._check(name, item, "f" if of_model else "fiu")
                self.numbers += int(item.size) * of_model
                self.arrays += of_model
            else:
                raise CheckpointError(f"its weights hold something else than arrays: {shown(name)}")

    def _check(self, name: str, item: Any, kinds: str) -> None:
        import h5py

        layout = item.id.get_create_plist().get_layout()
        if layout not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) or item.external is not None:
            raise CheckpointError(
                f"its array {shown(name)} is compressed or lies elsewhere, which Keras never does"
            )
        if item.shape is None or item.dtype.kind not in kinds:
            raise CheckpointError(
                f"its array {shown(name)} is of {item.dtype}, wanted floating point"
            )
        self._bytes += int(item.nbytes)
        if self._bytes > self._limit:
            raise CheckpointError(f"its weights add up to more than the file's {self._limit} bytes")


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(item is None or isinstance(item, str | int | float) for item in value)
    return value is None or isinstance(value, str | int | float)
