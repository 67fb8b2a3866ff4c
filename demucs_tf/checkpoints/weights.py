"""The weight map between the reference's state and the port's variables, both ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.errors import CheckpointError
from demucs_tf.utils.text import shown

Array = npt.NDArray[Any]
# A file may have more keys than fit on any screen.
_MAX_LISTED = 30


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


def rule_for(layer_class: str, name: str) -> Transform:
    """The transform of one variable; KeyError unless exactly one rule fits."""
    fitting = [t for cls, pattern, t in RULES if cls == layer_class and re.fullmatch(pattern, name)]
    if len(fitting) != 1:
        raise KeyError(f"{len(fitting)} weight rules fit {layer_class}.{name}, expected one")
    return TRANSFORMS[fitting[0]]


def variables_with_rules(model: Any) -> Iterator[tuple[str, Any, Transform]]:
    """Yield (key in the reference's state, variable, transform) for every variable."""
    from demucs_tf.layers.base import named_variables

    for key, layer, variable in named_variables(model):
        yield key, variable, rule_for(type(layer).__name__, key.rpartition(".")[2])


def shapes_of(model: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of the reference's parameters, in the order in which it registers them."""
    return {
        key: _reference_shape(variable, transform)
        for key, variable, transform in variables_with_rules(model)
    }


def _reference_shape(variable: Any, transform: Transform) -> tuple[int, ...]:
    return transform.inverse(np.broadcast_to(np.int8(0), tuple(variable.shape))).shape


def load_state(model: Any, state: Mapping[str, Array]) -> None:
    """Fill every variable of `model` from the reference's state, or change nothing.

    Args:
        model: a port model.
        state: the reference's keys and arrays, in the reference's layout, of any float type.

    Raises:
        CheckpointError: keys that the model lacks, variables that the state lacks, shapes that
            differ, and numbers that the model's dtype can't hold, all in one message.
    """
    variables = list(variables_with_rules(model))
    state = rename_v2_keys(state, {key for key, *_ in variables})
    found, missing, misshapen, mistyped, oversized = [], [], [], [], []
    for key, variable, transform in variables:
        if key not in state:
            missing.append(key)
            continue
        array = np.asarray(state[key])
        wanted = _reference_shape(variable, transform)
        if array.shape != wanted:
            misshapen.append(f"{key}: expected {wanted}, found {array.shape}")
        elif not np.issubdtype(array.dtype, np.floating):
            mistyped.append(f"{key}: expected floating point, found {array.dtype}")
        elif _is_too_large(array, np.dtype(model.compute_dtype)):
            oversized.append(key)
        else:
            found.append((key, variable, transform.forward(array)))
    names = {key for key, *_ in variables}
    extra = [shown(key) for key in state if key not in names]
    problems = [
        f"{title}: {_listed(keys)}"
        for title, keys in (
            ("missing weights", missing),
            ("weights that the model has no place for", extra),
            ("weights of another shape", misshapen),
            ("weights of another type", mistyped),
            (f"weights with numbers too large for {model.compute_dtype}", oversized),
        )
        if keys
    ]
    if problems:
        raise CheckpointError(
            f"The checkpoint does not fit {type(model).__name__}: {'; '.join(problems)}. "
            "Check that its constructor arguments belong to these weights."
        )
    for _, variable, array in found:
        variable.assign(array.astype(str(model.compute_dtype)))


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
