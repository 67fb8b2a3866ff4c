"""The reference's package format (`.th`), read without PyTorch and without running anything.

Reference: demucs/states.py::serialize_model, load_model
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from demucs_tf.checkpoints import pickle_data, torch_zip
from demucs_tf.checkpoints.pickle_data import Function, Name, OrderedData, Stateful, shown
from demucs_tf.errors import CheckpointError, ModelNotFoundError

CLASSES = (
    "demucs.demucs.Demucs",
    "demucs.hdemucs.HDemucs",
    "demucs.htdemucs.HTDemucs",
    "demucs.wdemucs.WDemucs",
)
KEYS = ("klass", "args", "kwargs", "state")
_MAX_DEPTH = 8
_MAX_ITEMS = 10_000
# All tensors together may be this many times the file: shared weights are fine, a bomb is not.
_MAX_GROWTH = 4


@dataclass(frozen=True)
class Package:
    """What a checkpoint says: the class, its constructor arguments and the weights.

    Floating weights are float32 or float64 (half precision is widened, exactly).
    """

    klass: str
    args: tuple[object, ...]
    kwargs: dict[str, object]
    state: dict[str, np.ndarray]


def read_package(path: Path) -> Package:
    """Read a `.th` checkpoint of the reference.

    Raises:
        ModelNotFoundError: there is no such file.
        CheckpointError: the file is damaged, unsafe, or something else than a package.
    """
    path = Path(path)
    if not path.exists():
        raise ModelNotFoundError(f"{path}: no such file. Check the path of the checkpoint")
    try:
        with path.open("rb") as file:
            return _read(torch_zip.Archive(file))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}.") from error
    except OSError as error:
        raise CheckpointError(
            f"{path}: the checkpoint can't be read ({error.strerror or error})."
        ) from error
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path}: the file is damaged ({error}). Get it again.") from error
    except Exception as error:  # a malformed file may fail anywhere: it is one error to the user
        raise CheckpointError(
            f"{path}: the file is damaged ({type(error).__name__}: {shown(error)}). Get it again."
        ) from error


def _read(archive: torch_zip.Archive) -> Package:
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
    state = content["state"]
    klass = _klass(content["klass"])
    args, kwargs = _plain(content["args"], "args"), _plain(content["kwargs"], "kwargs")
    if not isinstance(args, tuple) or not isinstance(kwargs, dict):
        raise CheckpointError("wanted args as a tuple and kwargs as a dictionary")
    if not all(isinstance(key, str) for key in kwargs):
        raise CheckpointError("wanted text as the names in kwargs")
    return Package(klass, args, kwargs, _weights(state, archive.size * _MAX_GROWTH))


def _some(content: dict[object, object]) -> str:
    keys = [shown(key, 40) for key in list(content)[:8]]
    return ", ".join(keys + ["..."] * (len(content) > 8)) or "no keys"


def _klass(klass: object) -> str:
    name = str(klass) if isinstance(klass, Name) else type(klass).__name__
    if name not in CLASSES:
        raise CheckpointError(f"wanted one of the classes {', '.join(CLASSES)}, found {name}")
    return name


def _plain(value: object, where: str) -> object:
    """A copy of constructor arguments; anything but plain data is refused."""
    budget = _MAX_ITEMS

    def copy(item: object, depth: int) -> object:
        nonlocal budget
        budget -= 1
        if budget < 0 or depth > _MAX_DEPTH:
            raise CheckpointError(f"its {where} have too many items or are nested too deeply")
        if item is None or isinstance(item, str | int | float | Fraction):
            return item
        if isinstance(item, list | tuple):
            return type(item)(copy(each, depth + 1) for each in item)
        if isinstance(item, dict):
            return {key: copy(each, depth + 1) for key, each in item.items()}
        raise CheckpointError(
            f"its {where} hold a {type(item).__name__}, wanted plain data (text, numbers, "
            "fractions, lists, tuples, dictionaries)"
        )

    return copy(value, 0)


def _weights(state: object, limit: int) -> dict[str, np.ndarray]:
    if not isinstance(state, dict):
        raise CheckpointError(f"wanted a dictionary as its state, found {type(state).__name__}")
    if "__quantized" in state:
        raise CheckpointError(
            "not supported yet: its weights are quantised by diffq. Use the unquantised model "
            "(`mdx` for `mdx_q`, `mdx_extra` for `mdx_extra_q`)"
        )
    tensors = {key: _checked(key, value) for key, value in state.items()}
    total = sum(tensor.nbytes for tensor in tensors.values())
    if total > limit:
        raise CheckpointError(f"its tensors add up to {total} bytes, more than {limit}")
    return {key: _finite(key, tensor.array()) for key, tensor in tensors.items()}


def _checked(key: object, value: object) -> torch_zip.Tensor:
    if not isinstance(key, str) or not isinstance(value, torch_zip.Tensor):
        raise CheckpointError(
            f"wanted a tensor as state[{shown(key)}], found a {type(value).__name__}"
        )
    return value


def _finite(key: str, array: np.ndarray) -> np.ndarray:
    if np.issubdtype(array.dtype, np.floating):
        bad = array.size - int(np.count_nonzero(np.isfinite(array)))
        if bad:
            raise CheckpointError(f"the weight {shown(key)} has {bad} values that are NaN or Inf")
    return array


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
        # Only named, so that a quantised package can be told from a hostile one.
        "diffq.diffq DiffQuantizer": Name("diffq.diffq", "DiffQuantizer"),
        "diffq.uniform UniformQuantizer": Name("diffq.uniform", "UniformQuantizer"),
    }
    for path in CLASSES:
        module, _, name = path.rpartition(".")
        table[f"{module} {name}"] = Name(module, name)
    for name in (*torch_zip.STORAGES, *torch_zip.SCALARS):
        table[f"torch {name}"] = Name("torch", name)
    return table


_NAMES = _names()
