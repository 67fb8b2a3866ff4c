"""The weight map between the reference's state and the port's variables, both ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.errors import CheckpointError
from demucs_tf.utils.text import shown

Array = npt.NDArray[Any]
# A file may have more keys than fit on any screen.
_MAX_LISTED = 30
# Bytes of a line of the processor's cache. TensorFlow's tensors begin with one, NumPy's arrays
# at any multiple of 16.
_LINE = 64
_LARGE = 1 << 20  # bytes, from which on the order of copying is felt
# Columns that are copied at a time: each takes a line of the cache, and before each time NumPy
# waits for Python's lock, which another thread may keep for 5 ms.
_COLUMNS = 512


@dataclass(frozen=True)
class Transform:
    """How an array of the reference becomes one of the port, and back."""

    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]


def _same(array: Array) -> Array:
    return array


TRANSFORMS: dict[str, Transform] = {
    "same": Transform(_same, _same),
    # Linear (O, I) <-> (I, O); convolution (O, I, K) <-> (K, I, O); transposed convolution
    # (I, O, K) <-> (K, O, I): each the same numbers with the order of the axes reversed.
    "reversed": Transform(np.transpose, np.transpose),
    # Convolution over frequency and time (O, I, F, T) <-> (F, T, I, O), transposed convolution
    # (I, O, F, T) <-> (F, T, O, I).
    "kernel first": Transform(
        lambda array: array.transpose(2, 3, 1, 0), lambda array: array.transpose(3, 2, 0, 1)
    ),
}

# Variables have the names of the reference's `state_dict`, so a rule needs no pair of names:
# (layer class, pattern of the variable's name, transform). Exactly one rule fits each variable.
RULES: tuple[tuple[str, str, str], ...] = (
    ("Conv1d", "weight", "reversed"),
    ("Conv1d", "bias", "same"),
    ("ConvTranspose1d", "weight", "reversed"),
    ("ConvTranspose1d", "bias", "same"),
    ("Conv2d", "weight", "kernel first"),
    ("Conv2d", "bias", "same"),
    ("ConvTranspose2d", "weight", "kernel first"),
    ("ConvTranspose2d", "bias", "same"),
    ("Linear", "weight", "reversed"),
    ("Linear", "bias", "same"),
    ("GroupNorm", "weight|bias", "same"),
    ("LayerNorm", "weight|bias", "same"),
    ("LayerScale", "scale", "same"),
    ("Embedding", "weight", "same"),
    ("MultiheadAttention", "in_proj_weight", "reversed"),
    ("MultiheadAttention", "in_proj_bias", "same"),
    ("LSTM", "weight_[ih]h_l[0-9]+(_reverse)?", "reversed"),
    ("LSTM", "bias_[ih]h_l[0-9]+(_reverse)?", "same"),
)


@dataclass(frozen=True)
class Place:
    """Where an array of the reference goes.

    Attributes:
        key: its name in the reference's state.
        shape: of the port's variable.
        transform: a name in `TRANSFORMS`.
    """

    key: str
    shape: tuple[int, ...]
    transform: str

    @property
    def reference_shape(self) -> tuple[int, ...]:
        """The shape of the array in the reference's layout."""
        return TRANSFORMS[self.transform].inverse(np.broadcast_to(np.int8(0), self.shape)).shape


def rule_for(layer_class: str, name: str) -> str:
    """The transform of one variable, by name; KeyError unless exactly one rule fits."""
    fitting = [t for cls, pattern, t in RULES if cls == layer_class and re.fullmatch(pattern, name)]
    if len(fitting) != 1:
        raise KeyError(f"{len(fitting)} weight rules fit {layer_class}.{name}, expected one")
    return fitting[0]


def places_of(model: Any) -> list[Place]:
    """Where the weights of a model go, in the order of its variables."""
    known = {id(variable): place for variable, place in variables_with_places(model)}
    return [known[id(variable)] for variable in model.variables]


def variables_with_places(model: Any) -> Iterator[tuple[Any, Place]]:
    """Yield every variable with its place, in the order in which the reference registers them."""
    from demucs_tf.layers.base import named_variables

    for key, layer, variable in named_variables(model):
        transform = rule_for(type(layer).__name__, key.rpartition(".")[2])
        yield variable, Place(key, tuple(variable.shape), transform)


def variables_with_rules(model: Any) -> Iterator[tuple[str, Any, Transform]]:
    """Yield (key in the reference's state, variable, transform) for every variable."""
    for variable, place in variables_with_places(model):
        yield place.key, variable, TRANSFORMS[place.transform]


def shapes_of(model: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of the reference's parameters, in the order in which it registers them."""
    return {place.key: place.reference_shape for _, place in variables_with_places(model)}


def load_state(model: Any, state: Mapping[str, Array]) -> None:
    """Fill every variable of `model` from the reference's state, or change nothing.

    Args:
        model: a port model.
        state: the reference's keys and arrays, in the reference's layout, of any float type.

    Raises:
        CheckpointError: see `arranged`.
    """
    variables, places = zip(*variables_with_places(model), strict=True)
    dtype = str(model.compute_dtype)
    arrays = arranged(places, state, dtype, type(model).__name__)
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(laid_out(array, dtype))


def arranged(
    places: Sequence[Place], state: Mapping[str, Array], dtype: str, about: str
) -> list[Array]:
    """The arrays of the reference's state in the port's layout, one for each place.

    Args:
        places: all of a model.
        state: the reference's keys and arrays, in the reference's layout, of any float type.
        dtype: of the model.
        about: the model, for errors.

    Raises:
        CheckpointError: keys that the model lacks, variables that the state lacks, shapes that
            differ, and numbers that the model's dtype can't hold, all in one message.
    """
    names = {place.key for place in places}
    state = rename_v2_keys(state, names)
    found, missing, misshapen, mistyped, oversized = [], [], [], [], []
    for place in places:
        key = place.key
        if key not in state:
            missing.append(key)
            continue
        array, wanted = np.asarray(state[key]), place.reference_shape
        if array.shape != wanted:
            misshapen.append(f"{key}: expected {wanted}, found {array.shape}")
        elif not np.issubdtype(array.dtype, np.floating):
            mistyped.append(f"{key}: expected floating point, found {array.dtype}")
        elif _is_too_large(array, np.dtype(dtype)):
            oversized.append(key)
        else:
            found.append(TRANSFORMS[place.transform].forward(array))
    extra = [shown(key) for key in state if key not in names]
    problems = [
        f"{title}: {_listed(keys)}"
        for title, keys in (
            ("missing weights", missing),
            ("weights that the model has no place for", extra),
            ("weights of another shape", misshapen),
            ("weights of another type", mistyped),
            (f"weights with numbers too large for {dtype}", oversized),
        )
        if keys
    ]
    if problems:
        raise CheckpointError(
            f"The checkpoint does not fit {about}: {'; '.join(problems)}. "
            "Check that its constructor arguments belong to these weights."
        )
    return found


def laid_out(array: Array, dtype: str) -> Array:
    """A copy in C order that becomes a tensor without being copied once more."""
    wanted = np.dtype(dtype)
    room = np.empty(array.size * wanted.itemsize + _LINE, np.uint8)
    start = -room.ctypes.data % _LINE
    copy = room[start : start + array.size * wanted.itemsize].view(wanted).reshape(array.shape)
    if array.flags.c_contiguous or copy.nbytes < _LARGE:
        copy[...] = array
        return copy
    # NumPy would write row by row, and read each number from another line of the processor's cache.
    for column in range(0, array.shape[-1], _COLUMNS):
        copy[..., column : column + _COLUMNS] = array[..., column : column + _COLUMNS]
    return copy


def _is_too_large(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether finite numbers would become infinite; only narrower types need a look."""
    if array.dtype.itemsize <= dtype.itemsize:
        return False
    finite = bool(np.isfinite(array).all())
    return finite and bool(np.abs(array).max(initial=0) > np.finfo(dtype).max)


def _listed(keys: list[str]) -> str:
    more = len(keys) - _MAX_LISTED
    return ", ".join(sorted(keys)[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def read_state(model: Any) -> dict[str, Array]:
    """The inverse of `load_state`: every variable under the reference's key and layout."""
    return {
        key: np.ascontiguousarray(transform.inverse(np.asarray(variable)))
        for key, variable, transform in variables_with_rules(model)
    }


def rename_v2_keys(state: Mapping[str, Array], wanted: Collection[str]) -> dict[str, Array]:
    """Give the second convolution of Demucs v2's layers its present position.

    Only where the model wants the new name and not the old one. The reference renames whenever the
    new name is free, and so cannot reload a model with a norm at the old position.

    Reference: demucs/demucs.py::Demucs.load_state_dict
    """
    renamed = dict(state)
    for key in state:
        old = re.fullmatch(r"((?:encoder|decoder)\.\d+)\.2\.(weight|bias)", key)
        if old:
            new = f"{old[1]}.3.{old[2]}"
            if new not in state and new in wanted and key not in wanted:
                renamed[new] = renamed.pop(key)
    return renamed
