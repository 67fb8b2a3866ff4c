"""What each field of an exported file's data may be: those data may come from anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from demucs_tf.models.ranges import WHOLE, check_sources

WEIGHTS = ("float32", "float16", "int8")
CLASSES = ("DemucsTF", "HDemucsTF", "HTDemucsTF", "BagOfModels")

_LARGEST = 2**40  # samples
_MAX_MEMBERS = 64
_MAX_WEIGHT = 1e12


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 1000


def _maybe(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _names(value: Any) -> bool:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return False
    try:
        check_sources(value)
    except ValueError:
        return False
    return True


def _convolutions(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"depth", "kernel_size", "stride", "resample"}
        and all(_whole(*WHOLE[name])(value[name]) for name in ("depth", "kernel_size", "stride"))
        and isinstance(value["resample"], bool)
    )


def _table(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MAX_MEMBERS
        and all(isinstance(row, list) for row in value)
        and all(type(w) in (int, float) and abs(w) <= _MAX_WEIGHT for row in value for w in row)
    )


def _members(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MAX_MEMBERS
        and all(isinstance(each, dict) and set(each) == {"file", "sha256"} for each in value)
        and all(_digest(each["sha256"]) and _file_name(each["file"]) for each in value)
    )


def _file_name(value: Any) -> bool:
    """A name of a file in the same folder, and not of one elsewhere."""
    return isinstance(value, str) and re.fullmatch(r"\w[\w.-]{0,99}", value) is not None


_SHARED: dict[str, Callable[[Any], bool]] = {
    "model": lambda value: value in CLASSES,
    "sources": _names,
    "samplerate": _whole(*WHOLE["samplerate"]),
    "audio_channels": _whole(*WHOLE["audio_channels"]),
    "name": _maybe(_text),
    "demucs_tf": _text,
}
OF_A_FILE = {
    **_SHARED,
    "segment": _whole(1, _LARGEST),
    "length": _whole(1, _LARGEST),
    "weights": lambda value: value in WEIGHTS,
    "weights_sha256": _digest,
    "any_length": lambda value: isinstance(value, bool),
    "valid_length": _maybe(_convolutions),
    "training_length": _maybe(_whole(1, _LARGEST)),
    "licence": _text,
    "checksum": _digest,
}
OF_A_BAG = {
    **_SHARED,
    "weights_table": _table,
    "members": _members,
    "segment": _maybe(_whole(1, _LARGEST)),
}
