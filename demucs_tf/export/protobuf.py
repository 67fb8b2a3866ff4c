"""As much of protobuf's encoding as it takes to find and to write one field of a message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from demucs_tf.errors import ExportError

_LONGEST_HEAD = 20  # bytes: two varints
_FIXED = {1: 8, 5: 4}  # bytes of a field by its wire type
_VARINT, _BYTES = 0, 2


@dataclass(frozen=True)
class Field:
    """Where a field of a message lies: its number, first byte, and content, in bytes."""

    number: int
    start: int
    content: int
    length: int


def fields(file: BinaryIO, size: int) -> Iterator[Field]:
    """Yield the fields of a message of `size` bytes, reading their heads alone.

    Raises:
        ExportError: it is no message, or is cut off.
    """
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(_LONGEST_HEAD)
        key, used = _read_varint(head, 0)
        kind, length = key & 7, 0
        if kind in (_VARINT, _BYTES):
            value, used = _read_varint(head, used)
            length = value if kind == _BYTES else 0
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ExportError(_NOT_ONE)
        found = Field(key >> 3, at, at + used, length)
        at = found.content + length
        if at > size:
            raise ExportError(f"expected {at} bytes or more, found {size}: the file is cut off.")
        yield found


def field(number: int, data: bytes) -> bytes:
    """A field of bytes."""
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


_NOT_ONE = "expected a protobuf message, as ONNX models are, found something else."


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ExportError(_NOT_ONE)
