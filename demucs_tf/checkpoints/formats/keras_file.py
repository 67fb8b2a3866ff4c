"""What a `.keras` file says that it holds, checked before Keras makes anything of it.

`safe_mode` of Keras refuses lambdas; in some versions a crafted configuration could still name
any function of any module, and crafted weights could name other files or fill the memory. Ours is
one of three classes, plain values and plain arrays, so nothing else gets that far.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from demucs_tf.checkpoints.formats.plain_zip import PlainZip
from demucs_tf.checkpoints.formats.untrusted import (
    check_segment,
    made_from,
    parse_json,
    reading,
)
from demucs_tf.errors import CheckpointError
from demucs_tf.models.config import CONFIGS
from demucs_tf.utils.text import shown

_MAX_BYTES = 2**20
_ENTRIES = ("metadata.json", "config.json", "model.weights.h5")
# What Keras adds to the constructor's arguments.
_KERAS_NAMES = {"name", "trainable", "dtype"}
_MAX_DEPTH = 64
_MAX_OBJECTS = 20_000


# The classes of the ports, which are registered as `demucs_tf>NAME`.
_CLASSES = {f"{each.reference.rpartition('.')[2]}TF": each for each in CONFIGS.values()}


def check_file(path: Path) -> tuple[int, int]:
    """Refuse a `.keras` file unless it holds one of our classes, plain arguments and plain arrays.

    Returns:
        how many numbers its weights are, and how many arrays.

    Raises:
        ModelNotFoundError: there is no such file.
        CheckpointError: it holds anything else, arguments out of their range, or is damaged.
    """
    with reading(path) as file:
        archive = PlainZip(file, "Keras", "Save the model again")
        for entry in _ENTRIES[1:]:
            if entry not in archive.sizes:
                raise CheckpointError(
                    f"wanted a .keras file (a zip archive with {entry}), found another archive"
                )
        for entry in archive.sizes:
            if entry not in _ENTRIES:
                raise CheckpointError(f"its entry {shown(entry)} is none of {_ENTRIES}")
        if archive.sizes["config.json"] > _MAX_BYTES:
            raise CheckpointError(f"its config.json is longer than {_MAX_BYTES} bytes")
        contents = {entry: archive.read(entry) for entry in archive.sizes}
        config = parse_json(contents["config.json"], "its config.json", _MAX_BYTES)
        name, arguments = _class_and_arguments(config)
        with made_from(arguments, name):
            check_segment(_CLASSES[name].from_dict(arguments).segment)
        return _count_numbers(contents["model.weights.h5"])


def _class_and_arguments(config: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(config, dict):
        raise CheckpointError("its config.json is no object")
    found = config.get("registered_name"), config.get("class_name")
    name = found[1] if isinstance(found[1], str) else ""
    if name not in _CLASSES or found[0] != f"demucs_tf>{name}":
        wanted = ", ".join(f"demucs_tf>{known}" for known in _CLASSES)
        raise CheckpointError(
            f"wanted a saved {wanted}, found {shown(found[0])} (class {shown(found[1])})"
        )
    arguments = config.get("config")
    known = _CLASSES[name].names(ours=True)
    if not isinstance(arguments, dict) or not arguments.keys() <= {*known, *_KERAS_NAMES}:
        raise CheckpointError(f"its configuration is not that of a {name}")
    for key, value in arguments.items():
        if not _is_plain(value):
            raise CheckpointError(f"its argument {key} is not plain data")
    if not str(arguments.get("name", "")).isprintable():
        raise CheckpointError(f"its name is no name: {shown(arguments['name'])}")
    segment = arguments.get("segment")
    if isinstance(segment, str) and not re.fullmatch("[0-9]{1,18}(/[0-9]{1,18})?", segment):
        raise CheckpointError(f"its segment is no fraction: {shown(segment)}")
    return name, {key: value for key, value in arguments.items() if key in known}


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
