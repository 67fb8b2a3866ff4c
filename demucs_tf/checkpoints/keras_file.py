"""What a `.keras` file says that it holds, checked before Keras makes anything of it.

`safe_mode` of Keras refuses lambdas; in some versions a crafted configuration could still name
any function of any module. Ours is one class and plain values, so nothing else gets that far.
"""

from __future__ import annotations

import inspect
import json
import zipfile
from pathlib import Path
from typing import Any

from demucs_tf.checkpoints.pickle_data import shown
from demucs_tf.errors import CheckpointError

_MAX_BYTES = 2**20
# What Keras adds to the constructor's arguments.
_KERAS_NAMES = {"name", "trainable", "dtype"}


def check_config(path: Path, cls: type[Any]) -> None:
    """Refuse a `.keras` file unless it holds a `cls` with plain constructor arguments.

    Raises:
        CheckpointError: it holds anything else, or is damaged.
    """
    config = _read_config(path)
    found = config.get("registered_name"), config.get("class_name")
    wanted = f"demucs_tf>{cls.__name__}"
    if found != (wanted, cls.__name__):
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


def _read_config(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
            text = file.read(_MAX_BYTES + 1)
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
    return config


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(item is None or isinstance(item, str | int | float) for item in value)
    return value is None or isinstance(value, str | int | float)
