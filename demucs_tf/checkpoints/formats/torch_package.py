"""The reference's package format (`.th`), read without PyTorch and without running anything.

Reference: demucs/states.py::serialize_model, load_model
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from demucs_tf.checkpoints.formats import pickle_data, torch_zip
from demucs_tf.checkpoints.formats.diffq_state import QUANTIZERS, Quantized, read_quantized
from demucs_tf.checkpoints.formats.pickle_data import Function, Name, OrderedData, Stateful
from demucs_tf.checkpoints.formats.untrusted import (
    CLASSES,
    Array,
    finite,
    known_class,
    plain,
    reading,
)
from demucs_tf.errors import CheckpointError
from demucs_tf.utils.text import shown

KEYS = ("klass", "args", "kwargs", "state")
# A state that diffq packed has some 20 items for each weight.
_MAX_STATE_ITEMS = 500_000
# All tensors together may be this many times the file: shared weights are fine, a bomb is not.
_MAX_GROWTH = 4


@dataclass(frozen=True)
class Package:
    """What a checkpoint says: the class, its constructor arguments and the weights.

    Floating weights are float32 or float64: half precision is widened, exactly, unless the reader
    was told to keep it. Those that diffq packed are decoded once the shapes of the model are known.
    """

    klass: str
    args: tuple[object, ...]
    kwargs: dict[str, object]
    state: dict[str, Array] | Quantized

    @property
    def dtype(self) -> str:
        """ "float64" if any weight is, else "float32"."""
        arrays = [] if isinstance(self.state, Quantized) else self.state.values()
        return "float64" if any(array.dtype == np.float64 for array in arrays) else "float32"

    def weights(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        """The weights by name.

        Args:
            shapes: of the model's parameters, in the reference's order and layout; only what diffq
                packed needs them.

        Raises:
            CheckpointError: what diffq packed is of another model, or malformed.
        """
        return self.state.decode(shapes) if isinstance(self.state, Quantized) else self.state


def read_package(path: Path, keep_half: bool = False) -> Package:
    """Read a `.th` checkpoint of the reference.

    Args:
        path: of the file.
        keep_half: leave weights in float16 as they are, for who copies them anyway.

    Raises:
        ModelNotFoundError: there is no such file.
        CheckpointError: the file is damaged, unsafe, or something else than a package.
    """
    with reading(path) as file:
        return _read(torch_zip.Archive(file), keep_half)


def _read(archive: torch_zip.Archive, keep_half: bool) -> Package:
    content = pickle_data.read_pickle(
        archive.pickle(pickle_data.MAX_BYTES),
        _NAMES,
        lambda identity: torch_zip.open_storage(archive, identity),
        f"one of the classes {', '.join(CLASSES)}, tensors and plain data",
    )
    if not isinstance(content, dict):
        raise CheckpointError(f"wanted a package (a dictionary), found a {type(content).__name__}")
    if any(key not in content for key in KEYS):
        raise CheckpointError(
            f"wanted a package with the keys {', '.join(KEYS)}, found {_some(content)}. "
            "A bare state_dict lacks the class and its arguments: save the model with "
            "demucs.states.serialize_model"
        )
    klass = content["klass"]
    name = known_class(str(klass) if isinstance(klass, Name) else type(klass).__name__)
    args, kwargs = plain(content["args"], "args"), plain(content["kwargs"], "kwargs")
    if not isinstance(args, tuple) or not isinstance(kwargs, dict):
        raise CheckpointError("wanted args as a tuple and kwargs as a dictionary")
    if not all(isinstance(key, str) for key in kwargs):
        raise CheckpointError("wanted text as the names in kwargs")
    state = plain(content["state"], "state", (torch_zip.Tensor, Name), items=_MAX_STATE_ITEMS)
    total = sum(tensor.nbytes for tensor in _tensors(state))
    if total > archive.size * _MAX_GROWTH:
        raise CheckpointError(
            f"its tensors add up to {total} bytes, more than {archive.size * _MAX_GROWTH}"
        )
    return Package(name, args, kwargs, state_of(state, keep_half))


def _some(content: dict[object, object]) -> str:
    keys = [shown(key, 40) for key in list(content)[:8]]
    return ", ".join(keys + ["..."] * (len(content) > 8)) or "no keys"


def _tensors(state: object) -> list[torch_zip.Tensor]:
    """All tensors in a nested state."""
    if isinstance(state, torch_zip.Tensor):
        return [state]
    if isinstance(state, dict):
        state = list(state.values())
    if isinstance(state, list | tuple):
        return [tensor for item in state for tensor in _tensors(item)]
    return []


def state_of(state: object, keep_half: bool = False) -> dict[str, Array] | Quantized:
    """The weights of a package by name, or still packed by diffq.

    Args:
        state: a dictionary, nested if diffq packed it, of tensors or arrays.
        keep_half: leave tensors in float16 as they are.

    Raises:
        CheckpointError: it is something else, or a weight is NaN or infinite.
    """
    if not isinstance(state, dict):
        raise CheckpointError(f"wanted a dictionary as its state, found {type(state).__name__}")
    if state.get("__quantized") is True:
        packed = {key: _arrays(value) for key, value in state.items()}
        return read_quantized(packed)
    return _weights(state, keep_half)


def _arrays(value: object) -> object:
    """The same nested state with arrays in place of tensors."""
    if isinstance(value, torch_zip.Tensor):
        return value.array()
    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_arrays(item) for item in value)
    return value


def _weights(state: Mapping[object, object], keep_half: bool) -> dict[str, Array]:
    tensors = {}
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, torch_zip.Tensor | np.ndarray):
            raise CheckpointError(
                f"wanted a tensor as state[{shown(key)}], found a {type(value).__name__}"
            )
        tensors[key] = value
    return {
        key: finite(key, value.array(keep_half) if isinstance(value, torch_zip.Tensor) else value)
        for key, value in tensors.items()
    }


def _fraction(numerator: object, denominator: object = 1) -> Fraction:
    """Stands for fractions.Fraction; before Python 3.12 it was pickled as a text, "39/5"."""
    if type(numerator) is str and len(numerator) <= 40:
        top, _, bottom = numerator.partition("/")
        return _fraction(int(top), int(bottom or 1))
    return Fraction(_integer(numerator), _integer(denominator))


def _integer(value: object) -> int:
    if type(value) is not int or abs(value) >= 2**63:
        raise CheckpointError("a fraction in its pickle is not of two integers below 2**63")
    return value


def _ordered_dict() -> OrderedData:
    """Stands for collections.OrderedDict, which a pickle makes empty and fills afterwards."""
    return OrderedData()


def _size(sizes: object) -> tuple[object, ...]:
    """Stands for torch.Size."""
    if type(sizes) is not tuple or len(sizes) > 32:
        raise CheckpointError("a torch.Size in its pickle is malformed")
    return sizes


def _encode(text: object, encoding: object) -> bytes:
    """Stands for _codecs.encode: how pickle protocol 2 writes bytes."""
    # Only the eight bytes of a NumPy scalar are expected: longer ones could be copied without end.
    if type(text) is not str or len(text) > 64 or encoding not in ("latin1", "latin-1"):
        raise CheckpointError("its pickle encodes something else than a short latin1 text")
    return text.encode("latin1")


class _Dtype(Stateful):
    """Stands for a numpy.dtype of a number."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        self.code = code

    def set_state(self, state: object) -> None:
        """Check the byte order: `(version, order, ...)`."""
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", "|", "="):
            raise CheckpointError("a numpy.dtype in its pickle is not of little-endian numbers")


def _numpy_dtype(code: object, *_: object) -> _Dtype:
    if code not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
        raise CheckpointError(f"its pickle has a numpy.dtype of {shown(code)}")
    return _Dtype(str(code))


def _numpy_scalar(dtype: object, data: object) -> object:
    """A NumPy scalar as a Python number; they occur in metrics and training arguments."""
    if not isinstance(dtype, _Dtype) or type(data) is not bytes:
        raise CheckpointError("a NumPy scalar in its pickle is malformed")
    kind = np.dtype("<" + dtype.code)
    if len(data) != kind.itemsize:
        raise CheckpointError("a NumPy scalar in its pickle has the wrong size")
    return np.frombuffer(data, kind)[0].item()


def _names() -> dict[str, object]:
    """Every global that a package may name, exactly, and what stands for it here."""
    table: dict[str, object] = {
        "collections OrderedDict": Function(_ordered_dict),
        "fractions Fraction": Function(_fraction),
        "torch Size": Function(_size),
        "torch._utils _rebuild_tensor_v2": Function(torch_zip.rebuild_tensor),
        "torch._utils _rebuild_tensor_v3": Function(torch_zip.rebuild_untyped_tensor),
        "torch._utils _rebuild_parameter": Function(torch_zip.rebuild_parameter),
        "_codecs encode": Function(_encode),
        "numpy dtype": Function(_numpy_dtype),
        "numpy.core.multiarray scalar": Function(_numpy_scalar),
        "numpy._core.multiarray scalar": Function(_numpy_scalar),
        "torch.storage UntypedStorage": Name("torch.storage", torch_zip.UNTYPED),
    }
    for path in (*CLASSES, *QUANTIZERS):
        module, _, name = path.rpartition(".")
        table[f"{module} {name}"] = Name(module, name)
    for name in (*torch_zip.STORAGES, *torch_zip.DTYPES):
        table[f"torch {name}"] = Name("torch", name)
    return table


_NAMES = _names()
