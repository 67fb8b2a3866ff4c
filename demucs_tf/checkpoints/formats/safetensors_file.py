"""The reference's present format (`.safetensors`), read without PyTorch.

The library `safetensors` checks the layout of the tensors. Their dtypes and the metadata (class,
arguments and, for states that diffq packed, the nesting of the tensors) are read here: the
reference imports whatever the metadata name, and this reader imports nothing.

Reference: demucs/hf.py::load_safetensors_model
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from demucs_tf.checkpoints.formats.diffq_state import QUANTIZERS
from demucs_tf.checkpoints.formats.pickle_data import Name
from demucs_tf.checkpoints.formats.torch_package import Package, state_of
from demucs_tf.checkpoints.formats.untrusted import (
    Array,
    known_class,
    parse_json,
    plain,
    reading,
    widened,
)
from demucs_tf.errors import CheckpointError
from demucs_tf.utils.text import shown

# The headers of the published models have 60 kB, those that diffq packed ten times as much.
_MAX_HEADER = 4 * 2**20
_MAX_ARGUMENTS = 2**20
_MAX_DEPTH = 8
_MAX_NODES = 500_000
# Names of the format. bfloat16 is read as its 16 bits and widened afterwards.
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}


def read_safetensors(path: Path, keep_half: bool = False) -> Package:
    """Read a `.safetensors` checkpoint as demucs 4.1.0 publishes them.

    Args:
        path: of the file.
        keep_half: leave weights in float16 as they are, for who copies them anyway.

    Raises:
        ModelNotFoundError: there is no such file.
        CheckpointError: the file is damaged, unsafe, or lacks what makes it a Demucs checkpoint.
    """
    with reading(path) as file:
        return _read(file, keep_half)


def _read(file: BinaryIO, keep_half: bool) -> Package:
    header = _header(file)
    metadata = header.pop("__metadata__", None)
    texts = _texts(metadata)
    klass = known_class(texts["klass"])
    args = _arguments(texts["args"], "args", list)
    kwargs = _arguments(texts["kwargs"], "kwargs", dict)
    if "structure" not in texts:
        return Package(klass, tuple(args), kwargs, state_of(_tensors(file, header, keep_half)))
    # Checked before any tensor is read.
    tree = parse_json(texts["structure"], "its structure", _MAX_HEADER)
    state = _Nesting(_tensors(file, header)).unfold(tree)
    return Package(klass, tuple(args), kwargs, state_of(state))


def _header(file: BinaryIO) -> dict[str, Any]:
    """The JSON in front of the tensors."""
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(8)
    if not start:
        raise CheckpointError("the file is empty. Get the file again")
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
    if length > size - 8:
        raise CheckpointError(
            f"wanted a safetensors file, found {size} bytes that start with {start!r}: it is cut "
            "off or something else. Get the file again"
        )
    if length > _MAX_HEADER:
        raise CheckpointError(f"its header has {length} bytes, more than {_MAX_HEADER}")
    header = parse_json(file.read(length), "its header", _MAX_HEADER)
    if not isinstance(header, dict):
        raise CheckpointError("its header is no JSON object")
    return header


def _texts(metadata: object) -> Mapping[str, str]:
    if not isinstance(metadata, dict):
        metadata = {}
    missing = [key for key in ("klass", "args", "kwargs") if key not in metadata]
    if missing:
        raise CheckpointError(
            f"its metadata lack {', '.join(missing)}: weights alone do not say which model they "
            "belong to. Wanted a file as demucs >= 4.1 publishes them or `save_model` writes them"
        )
    if not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError("wanted text as the metadata")
    return metadata


def _arguments(text: str, what: str, kind: type) -> Any:
    """Constructor arguments out of JSON.

    Reference: demucs/hf.py::_decode_json
    """
    value = parse_json(text, f"its {what}", _MAX_ARGUMENTS)
    if not isinstance(value, kind):
        raise CheckpointError(
            f"wanted its {what} as a JSON {'list' if kind is list else 'object'}, found a "
            f"{type(value).__name__}"
        )
    return _with_fractions(plain(value, what))


def _with_fractions(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_fractions(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_type") != "fraction":
        return {key: _with_fractions(item) for key, item in value.items()}
    top, bottom = value.get("numerator"), value.get("denominator")
    if type(top) is not int or type(bottom) is not int or not bottom:
        raise CheckpointError("a fraction in its arguments is not of two integers")
    return Fraction(top, bottom)


def _tensors(
    file: BinaryIO, header: Mapping[str, Any], keep_half: bool = False
) -> dict[str, Array]:
    from safetensors import deserialize

    for key, entry in header.items():
        dtype = entry.get("dtype") if isinstance(entry, dict) else None
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise CheckpointError(
                f"its tensor {shown(key)} has the type {shown(dtype)}, wanted one of "
                f"{', '.join(_DTYPES)}"
            )
    file.seek(0)
    return {key: _array(entry, keep_half) for key, entry in deserialize(file.read())}


def _array(entry: Mapping[str, Any], keep_half: bool) -> Array:
    stored = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return widened(stored, is_bfloat16=entry["dtype"] == "BF16", keep_half=keep_half)


class _Nesting:
    """Puts tensors back into the nesting that the metadata describe.

    Reference: demucs/hf.py::_unflatten_state
    """

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._left = dict(tensors)
        self._budget = _MAX_NODES
        self._kinds: dict[str, Callable[[Any, int], Any]] = {
            "_tensor": self._tensor,
            "_dict": self._dict,
            "_list": self._list,
            "_tuple": lambda items, depth: tuple(self._list(items, depth)),
            "_class": _quantizer,
        }

    def unfold(self, node: object) -> Any:
        """The nested state; every tensor has to be in it, once."""
        state = self._unfold(node, 0)
        if self._left:
            raise CheckpointError(
                f"its structure leaves out {len(self._left)} of its tensors, among them "
                f"{shown(next(iter(self._left)))}"
            )
        return state

    def _unfold(self, node: object, depth: int) -> Any:
        self._budget -= 1
        if self._budget < 0 or depth > _MAX_DEPTH:
            raise CheckpointError("its structure has too many items or is nested too deeply")
        if node is None or isinstance(node, str | int | float):
            return node
        if isinstance(node, dict) and len(node) == 1:
            ((kind, content),) = node.items()
            if kind in self._kinds:
                return self._kinds[kind](content, depth)
        raise CheckpointError(
            f"its structure has {_described(node)}, wanted one of {', '.join(self._kinds)}"
        )

    def _tensor(self, key: object, _: int) -> Array:
        if not isinstance(key, str) or key not in self._left:
            raise CheckpointError(
                f"its structure asks for the tensor {shown(key)}, which is not in the file or was "
                "used before"
            )
        return self._left.pop(key)

    def _list(self, items: object, depth: int) -> list[Any]:
        if not isinstance(items, list):
            raise CheckpointError(f"its structure has {_described(items)} where a list should be")
        return [self._unfold(item, depth + 1) for item in items]

    def _dict(self, pairs: object, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for pair in pairs if isinstance(pairs, list) else [None]:
            if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
                raise CheckpointError("a dictionary in its structure is no list of names and items")
            if pair[0] in found:
                raise CheckpointError(f"its structure has {shown(pair[0])} twice")
            found[pair[0]] = self._unfold(pair[1], depth + 1)
        return found


def _quantizer(name: object, _: int) -> Name:
    """A class of diffq, as a name: nothing is imported."""
    if not isinstance(name, str) or name not in QUANTIZERS:
        raise CheckpointError(
            f"its structure asks for {shown(name)}: refused, and nothing was imported. Wanted one "
            f"of {', '.join(QUANTIZERS)}"
        )
    module, _dot, last = name.rpartition(".")
    return Name(module, last)


def _described(node: object) -> str:
    if isinstance(node, dict):
        return f"an object with the keys {shown(', '.join(map(str, list(node)[:4])))}"
    return f"a {type(node).__name__}"
