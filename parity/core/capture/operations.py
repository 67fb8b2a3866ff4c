"""The operations of one step of the reference: its inputs, noted or replaced, and its result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.weak import WeakTensorKeyDictionary

from parity.core.capture.shared import Shared
from parity.core.subject import Tap

Array = npt.NDArray[Any]


class Copies:
    """What is noted of tensors: one copy for each content, and none of a tensor that has one.

    A tensor is copied again once an operation has written to it, which torch counts; what is
    written to its `data` is not seen.

    Args:
        kept: False notes the tensors as they are, for what is looked at at once.

    Attributes:
        dtype: of the model, in which constants of another float type are noted.
    """

    def __init__(self, kept: bool = True) -> None:
        self.dtype = torch.float32
        self._kept = kept
        self._shared = Shared()
        self._known: Any = WeakTensorKeyDictionary()

    def of(self, tensor: torch.Tensor) -> Array:
        """The numbers of a tensor."""
        if not self._kept or tensor.is_inference():
            return self._new(tensor)
        version, array = self._known.get(tensor, (None, None))
        if version != tensor._version:
            array = self._new(tensor)
            self._known[tensor] = tensor._version, array
        return array

    def _new(self, tensor: torch.Tensor) -> Array:
        array = numbers_of(tensor, self.dtype)
        return self._shared.one(array.copy()) if self._kept else array


class Group:
    """The operations of one call of a tap."""

    def __init__(
        self,
        path: str,
        tap: Tap,
        source: str,
        parameters: set[int],
        forced: Sequence[Array] | None,
        copies: Copies,
    ) -> None:
        self.path = path
        self.tap = tap
        self.source = source
        self.result: torch.Tensor = torch.empty(0)
        # Tensors from outside and what is used in their place, by id and, for `x + x`, by place.
        # They are held, because the ids of the dead come again; and with a copy, because
        # operations work in place.
        self.noted: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor, Array]] = {}
        self._inside: dict[int, torch.Tensor] = {}
        self._parameters = parameters
        self._forced = forced
        self._copies = copies

    @property
    def inputs(self) -> list[Array]:
        """The tensors from outside as they were when first used, in that order."""
        return [array for _, _, array in self.noted.values()]

    def take(self, arguments: Any) -> Any:
        """Note the tensors among an operation's arguments that come from outside."""
        noted = dict(self.noted)
        seen: Counter[int] = Counter()

        def visit(value: Any) -> Any:
            if isinstance(value, (tuple, list)):
                return type(value)(visit(item) for item in value)
            if isinstance(value, dict):
                return {key: visit(item) for key, item in value.items()}
            if not isinstance(value, torch.Tensor):
                return value
            if id(value) in self._inside or id(value) in self._parameters or _is_length(value):
                return value
            key = id(value), seen[id(value)]
            seen[id(value)] += 1
            if key not in noted:
                used = value
                if self._forced is not None and len(noted) < len(self._forced):
                    used = self.fed(self._forced[len(noted)])
                    used = torch.view_as_complex(used) if value.is_complex() else used
                noted[key] = (value, used, self.note(used))
            return noted[key][1]

        replaced = visit(arguments)
        self.noted = noted
        return replaced

    def fed(self, array: Array) -> torch.Tensor:
        """A forced input as a tensor."""
        return narrow_tensor(array)

    def note(self, tensor: torch.Tensor) -> Array:
        """What is kept of an input."""
        return self._copies.of(tensor)

    def give(self, result: Any) -> None:
        """Note what an operation returned."""
        for tensor in tensors_in(result):
            self._inside[id(tensor)] = tensor
            self.result = tensor


def is_query(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether an operation only asks for a shape, a type or a device."""
    if func.__name__ == "__get__":
        return not isinstance(func(*args), torch.Tensor)
    return func.__name__ in ("size", "dim", "__len__")


def _is_length(value: torch.Tensor) -> bool:
    """Whether this is a size or an index, which the port has as a number."""
    return not value.dim() and not (value.is_floating_point() or value.is_complex())


def rounded(array: Array) -> Array:
    """A copy, in float32 unless these are whole numbers."""
    return array.astype(np.float32 if np.issubdtype(array.dtype, np.floating) else array.dtype)


def narrow_tensor(array: Array) -> torch.Tensor:
    """A tensor with a copy, in float32 unless these are whole numbers."""
    return torch.from_numpy(rounded(array))


def tensors_in(value: Any) -> list[torch.Tensor]:
    """The tensors in any nesting of tuples, lists and dictionaries."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in tensors_in(item)]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in tensors_in(item)]
    return []


def copied(tensor: torch.Tensor) -> Array:
    """A copy; complex numbers as pairs."""
    return numbers_of(tensor).copy()


def numbers_of(tensor: torch.Tensor, dtype: torch.dtype | None = None) -> Array:
    """The numbers of a tensor, complex ones as pairs, and constants of float32 in `dtype`."""
    tensor = tensor.detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if tensor.is_floating_point() and dtype is not None:
        tensor = tensor.to(dtype)
    array: Array = tensor.cpu().numpy()
    return array
