"""`.safetensors` files taken apart and put together by hand, for tests of damaged ones."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "uint8": "U8"}


def join(header: Any, data: bytes = b"") -> bytes:
    """A file of a header (bytes, or what becomes JSON) and the tensors' bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the tensors' bytes of a sound file."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def pack(metadata: Mapping[str, str] | None, tensors: Mapping[str, Any]) -> bytes:
    """A file of these tensors; a pair (type, array) gives the name of a type by hand."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    data = b""
    for key, value in tensors.items():
        name, array = value if isinstance(value, tuple) else (NAMES[str(value.dtype)], value)
        content = np.ascontiguousarray(array).tobytes()
        header[key] = {
            "dtype": name,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    return join(header, data)
