"""The zip archive that `torch.save` writes, and the tensors in it, read with NumPy alone.

Layout: `<top>/data.pkl` (the pickle), `<top>/data/<key>` (one raw storage each), `<top>/byteorder`.
PyTorch stores every entry uncompressed; holding files to that bounds what reading one can take to
the size of the file itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np

from demucs_tf.checkpoints.formats.pickle_data import Name
from demucs_tf.checkpoints.formats.plain_zip import PlainZip
from demucs_tf.checkpoints.formats.untrusted import widened
from demucs_tf.errors import CheckpointError
from demucs_tf.utils.text import shown

# PyTorch's names for element types: in C, as a dtype, and NumPy's. bfloat16 is read as its 16 bits
# and widened afterwards.
_ELEMENTS = (
    ("Double", "float64", "f8"),
    ("Float", "float32", "f4"),
    ("Half", "float16", "f2"),
    ("BFloat16", "bfloat16", "u2"),
    ("Long", "int64", "i8"),
    ("Int", "int32", "i4"),
    ("Short", "int16", "i2"),
    ("Char", "int8", "i1"),
    ("Byte", "uint8", "u1"),
    ("Bool", "bool", "?"),
)
DTYPES = {dtype: code for _, dtype, code in _ELEMENTS}
STORAGES = {f"{name}Storage": dtype for name, dtype, _ in _ELEMENTS}
UNTYPED = "UntypedStorage"
SAVE_AGAIN = "To convert it: load it with a recent PyTorch and `torch.save` it again."
_ZIP_START = b"PK\x03\x04"
_KEY = re.compile(r"[0-9]{1,9}")


class Archive:
    """An open `torch.save` file; nothing is extracted, and storages are read when asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = file.seek(0, 2)
        file.seek(0)
        _check_start(file.read(16))
        self._zip = PlainZip(file, "PyTorch", SAVE_AGAIN)
        self._top = _top_folder(self._zip.sizes)
        self._storages: dict[str, bytes] = {}
        has_order = f"{self._top}/byteorder" in self._zip.sizes
        order = self._read("byteorder") if has_order else b"little"
        if order not in (b"little", b"big"):
            raise CheckpointError(f"its byte order is {shown(order)}, wanted little or big")
        self.order: Literal["<", ">"] = "<" if order == b"little" else ">"

    def pickle(self, limit: int) -> bytes:
        """The bytes of `data.pkl`, which may not be longer than `limit`."""
        size = self._zip.sizes[f"{self._top}/data.pkl"]
        if size > limit:
            raise CheckpointError(f"its data.pkl has {size} bytes, more than {limit}")
        return self._read("data.pkl")

    def storage(self, key: str) -> bytes:
        """The raw bytes of one storage."""
        if key not in self._storages:
            self._storages[key] = self._read(f"data/{key}")
        return self._storages[key]

    def storage_size(self, key: str) -> int:
        """How many bytes a storage has; nothing is read."""
        size = self._zip.sizes.get(f"{self._top}/data/{key}")
        if size is None:
            raise CheckpointError(f"storage data/{key} is missing from the archive")
        return size

    def _read(self, name: str) -> bytes:
        return self._zip.read(f"{self._top}/{name}")


def _check_start(start: bytes) -> None:
    if not start:
        raise CheckpointError("the file is empty. Get the file again")
    if start.startswith(_ZIP_START):
        return
    if start.startswith(b"\x80"):
        raise CheckpointError(
            "wanted a zip archive as PyTorch >= 1.6 writes it, found a bare pickle (the format of "
            f"older versions). {SAVE_AGAIN}"
        )
    raise CheckpointError(
        "wanted a zip archive as `torch.save` writes it, found a file that starts with "
        f"{start[:8]!r}. Check that this is a Demucs .th checkpoint"
    )


def _top_folder(entries: Iterable[str]) -> str:
    tops = [name[: -len("/data.pkl")] for name in entries if name.endswith("/data.pkl")]
    tops = [top for top in tops if "/" not in top]
    if len(tops) != 1:
        raise CheckpointError(
            f"wanted one data.pkl in the archive, found {len(tops)}: this zip was not written by "
            "`torch.save`"
        )
    return tops[0]


@dataclass(frozen=True)
class Storage:
    """One storage of an archive, by its key, with its element type (None: untyped bytes)."""

    archive: Archive
    key: str
    element: str | None


@dataclass(frozen=True)
class Tensor:
    """A tensor as the pickle describes it: a checked view of a storage that is not read yet."""

    storage: Storage
    element: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes as stored."""
        return math.prod(self.shape) * np.dtype(DTYPES[self.element]).itemsize

    def array(self, keep_half: bool = False) -> np.ndarray:
        """The values: half precision widened to float32, every other type as it is.

        Args:
            keep_half: leave float16 as it is.
        """
        archive = self.storage.archive
        stored = np.dtype(DTYPES[self.element]).newbyteorder(archive.order)
        if math.prod(self.shape):
            place = self.offset * stored.itemsize
            steps = tuple(step * stored.itemsize for step in self.stride)
            data = archive.storage(self.storage.key)
            view = np.ndarray(self.shape, stored, data, place, steps)
        else:
            view = np.zeros(self.shape, stored)
        return widened(view, is_bfloat16=self.element == "bfloat16", keep_half=keep_half)


def open_storage(archive: Archive, identity: object) -> Storage:
    """The storage that a persistent id ("storage", type, key, location, count) names."""
    if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
        raise CheckpointError("a persistent id in its pickle names no storage")
    _, kind, key, _, count = identity
    if not isinstance(kind, Name) or not (kind.name in STORAGES or kind.name == UNTYPED):
        raise CheckpointError(f"a storage has the type {shown(kind)}")
    if type(key) is not str or not _KEY.fullmatch(key):
        raise CheckpointError(f"a storage has the key {shown(key)}, wanted a number")
    element = STORAGES.get(kind.name)
    width = np.dtype(DTYPES[element]).itemsize if element else 1
    size = archive.storage_size(key)
    if type(count) is not int or count * width != size:
        raise CheckpointError(
            f"storage data/{key} should hold {shown(count)} elements of {width} bytes, "
            f"and has {size} bytes"
        )
    return Storage(archive, key, element)


def rebuild_tensor(
    storage: object,
    offset: object,
    shape: object,
    stride: object,
    _requires_grad: object,
    hooks: object,
    metadata: object = None,
) -> Tensor:
    """Stands for torch._utils._rebuild_tensor_v2."""
    _check_plain(hooks, metadata)
    if not isinstance(storage, Storage) or storage.element is None:
        raise CheckpointError("a tensor in its pickle has no typed storage")
    return _tensor(storage, storage.element, offset, shape, stride)


def rebuild_untyped_tensor(
    storage: object,
    offset: object,
    shape: object,
    stride: object,
    _requires_grad: object,
    hooks: object,
    dtype: object,
    metadata: object = None,
) -> Tensor:
    """Stands for torch._utils._rebuild_tensor_v3, which gives the element type by itself."""
    _check_plain(hooks, metadata)
    if not isinstance(storage, Storage) or not isinstance(dtype, Name) or dtype.name not in DTYPES:
        raise CheckpointError("a tensor in its pickle has no storage or no element type")
    return _tensor(storage, dtype.name, offset, shape, stride)


def rebuild_parameter(data: object, _requires_grad: object, hooks: object) -> Tensor:
    """Stands for torch._utils._rebuild_parameter."""
    _check_plain(hooks)
    if not isinstance(data, Tensor):
        raise CheckpointError("a parameter in its pickle holds no tensor")
    return data


def _check_plain(hooks: object, metadata: object = None) -> None:
    """Refuse what makes other numbers of a tensor's: metadata negate or conjugate them."""
    if hooks:
        raise CheckpointError("a tensor in its pickle has hooks, which weights never need")
    if metadata:
        raise CheckpointError(
            f"a tensor in its pickle has metadata ({shown(metadata)}), as lazily negated or "
            "conjugated ones have. Save `tensor.resolve_neg().resolve_conj()` instead"
        )


def _tensor(
    storage: Storage, element: str, offset: object, shape: object, stride: object
) -> Tensor:
    sizes, steps = _counts(shape), _counts(stride)
    (start,) = _counts((offset,))
    if len(sizes) != len(steps) or len(sizes) > 32:
        raise CheckpointError(f"a tensor has {len(sizes)} sizes and {len(steps)} strides")
    room = storage.archive.storage_size(storage.key) // np.dtype(DTYPES[element]).itemsize
    last = start + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    count = math.prod(sizes)
    # More elements than the storage has means that some are repeated by a stride of 0: weights
    # never are, and a few bytes could be blown up to any size.
    if count and (last >= room or count > room):
        raise CheckpointError(
            f"a tensor of shape {sizes}, strides {steps} and offset {start} does not fit in its "
            f"storage data/{storage.key} of {room} elements"
        )
    return Tensor(storage, element, start, sizes, steps)


def _counts(values: object) -> tuple[int, ...]:
    if type(values) is not tuple or not all(type(v) is int and 0 <= v < 2**48 for v in values):
        raise CheckpointError(f"a tensor has the shape, stride or offset {shown(values)}")
    return values
