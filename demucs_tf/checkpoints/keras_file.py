"""What a `.keras` file says that it holds, checked before Keras makes anything of it.

`safe_mode` of Keras refuses lambdas; in some versions a crafted configuration could still name
any function of any module. Ours is one of three classes and plain values, so nothing else gets
that far.
"""

from __future__ import annotations

import inspect
import json
import re
import zipfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from demucs_tf.checkpoints.arguments import check_arguments
from demucs_tf.checkpoints.pickle_data import shown
from demucs_tf.errors import CheckpointError

_MAX_BYTES = 2**20
_BYTES = 4  # of a number
# What Keras adds to the constructor's arguments.
_KERAS_NAMES = {"name", "trainable", "dtype"}


def check_config(path: Path, classes: Mapping[str, type[Any]]) -> None:
    """Refuse a `.keras` file unless it holds one of `classes` with plain constructor arguments.

    Args:
        path: of the file.
        classes: those registered as `demucs_tf>NAME`, by name.

    Raises:
        CheckpointError: it holds anything else, asks for a model far larger than its weights, or
            is damaged.
    """
    config, count = _read_config(path)
    found = config.get("registered_name"), config.get("class_name")
    cls = classes.get(found[1]) if isinstance(found[1], str) else None
    if cls is None or found[0] != f"demucs_tf>{found[1]}":
        wanted = ", ".join(f"demucs_tf>{name}" for name in classes)
        raise CheckpointError(
            f"{path}: wanted a saved {wanted}, found {shown(found[0])} (class {shown(found[1])})."
        )
    arguments = config.get("config")
    known = set(inspect.signature(cls).parameters) | _KERAS_NAMES
    if not isinstance(arguments, dict) or not arguments.keys() <= known:
        raise CheckpointError(f"{path}: its configuration is not that of a {cls.__name__}.")
    for name, value in arguments.items():
        if not _is_plain(value):
            raise CheckpointError(f"{path}: its argument {name} is not plain data.")
    segment = arguments.get("segment")
    if isinstance(segment, str):
        if not re.fullmatch("[0-9]{1,18}/[0-9]{1,18}", segment):
            raise CheckpointError(f"{path}: its segment is no fraction: {shown(segment)}.")
        arguments = {**arguments, "segment": _fraction(segment)}
    try:
        check_arguments(cls, arguments, count)
    except Exception as error:  # arguments from a file may fail in any way
        raise CheckpointError(
            f"{path}: {cls.__name__} can't be made from its constructor arguments: "
            f"{str(error)[:300]}"
        ) from error


def _fraction(text: str) -> Fraction | None:
    top, bottom = map(int, text.split("/"))
    return Fraction(top, bottom) if bottom else None


def _read_config(path: Path) -> tuple[dict[str, Any], int]:
    """The configuration, and an upper bound of how many numbers the weights are."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
            text = file.read(_MAX_BYTES + 1)
            weights = archive.getinfo("model.weights.h5").compress_size
        config = json.loads(text) if len(text) <= _MAX_BYTES else None
    except Exception as error:  # truncated, not a zip, no such entry, not JSON, encrypted ...
        raise CheckpointError(
            f"{path}: wanted a .keras file (a zip archive with config.json), found something "
            f"damaged or else ({type(error).__name__}: {shown(error)})."
        ) from error
    if not isinstance(config, dict):
        raise CheckpointError(
            f"{path}: its config.json is no object of at most {_MAX_BYTES} bytes."
        )
    return config, weights // _BYTES


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(item is None or isinstance(item, str | int | float) for item in value)
    return value is None or isinstance(value, str | int | float)
