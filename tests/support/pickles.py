"""Pickles and `.th` files made by hand, opcode by opcode, without PyTorch."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from demucs_tf.checkpoints.formats.torch_package import Package, read_package
from demucs_tf.errors import CheckpointError


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def list_of(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def dict_of(**items: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + b"R"


def storage(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    module = "torch.storage" if kind == "UntypedStorage" else "torch"
    return (
        tuple_of(text("storage"), named(module, kind), text(key), text("cpu"), integer(count))
        + b"Q"
    )


def tensor(
    source: bytes, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0
) -> bytes:
    return call(
        named("torch._utils", "_rebuild_tensor_v2"),
        source,
        integer(offset),
        tuple_of(*map(integer, shape)),
        tuple_of(*map(integer, stride)),
        b"\x89",
        call(named("collections", "OrderedDict")),
    )


def package(**changes: bytes) -> bytes:
    """The pickle of a small sound package; `changes` replace or add values."""
    parts = {
        "klass": named("demucs.demucs", "Demucs"),
        "args": b")",
        "kwargs": dict_of(sources=list_of(text("a"), text("b")), channels=integer(4)),
        "state": dict_of(weight=tensor(storage("0", 6), (2, 3), (3, 1))),
        "training_args": b"}",
    }
    return b"\x80\x02" + dict_of(**(parts | changes)) + b"."


ONE_STORAGE = {"data/0": np.arange(6, dtype="<f4").tobytes(), "byteorder": b"little"}


def write(
    path: Path,
    pickled: bytes,
    entries: dict[str, bytes] | None = None,
    top: str = "archive",
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """A zip archive as `torch.save` lays it out."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{top}/data.pkl", pickled)
        for name, data in (ONE_STORAGE if entries is None else entries).items():
            archive.writestr(f"{top}/{name}", data)
    return path


def refused(path: Path, match: str) -> str:
    """Read a bad file; return the message, which names the file and is one line."""
    with pytest.raises(CheckpointError, match=match) as caught:
        read_package(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 700
    return message


def weights(package: Package) -> dict[str, np.ndarray]:
    """The weights of a package that diffq did not pack."""
    assert isinstance(package.state, dict)
    return package.state
