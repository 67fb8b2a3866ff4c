"""Which axes a tensor has in the reference and in the port.

"BCT" is the same on both sides; "BCT>BTC" is (B, C, T) in the reference and (B, T, C) in the port.
Letters: B batch (or batch times frames), S source, A audio channel, C channel, T time, H head,
D hidden size, L layer and direction, Q query, K key, N decay rate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Inputs and outputs of modules, by the reference's class; every other class has DEFAULT.
DEFAULT = (("BCT>BTC",), ("BCT>BTC",))
MODULES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Demucs": (("BAT",), ("BSAT",)),
    "LSTM": (("TBC>BTC",), ("TBC>BTC", "LBD", "LBD")),
    "Linear": (("TBC>BTC",), ("TBC>BTC",)),
}


def of_module(module_class: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The layouts of a module's inputs and outputs."""
    return MODULES.get(module_class, DEFAULT)


def to_port(array: Array, layout: str) -> Array:
    """Rearrange a tensor of the reference as the port has it."""
    reference, _, port = layout.partition(">")
    return _move(array, reference, port or reference)


def to_reference(array: Array, layout: str) -> Array:
    """Rearrange a tensor of the port as the reference has it."""
    reference, _, port = layout.partition(">")
    return _move(array, port or reference, reference)


def _move(array: Array, start: str, end: str) -> Array:
    if array.ndim != len(start) or sorted(start) != sorted(end):
        return array  # the comparator reports the wrong rank; nothing is bent to fit
    return np.ascontiguousarray(np.transpose(array, [start.index(axis) for axis in end]))
