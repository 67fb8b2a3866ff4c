"""Which axes a tensor has in the reference and in the port.

"BCT" is the same on both sides; "BCT>BTC" is (B, C, T) in the reference and (B, T, C) in the port.
Letters: B batch (or batch times frames or frequencies), S source, A audio channel, C channel,
F frequency, T time, R real and imaginary part (a complex number in the reference), H head, D hidden
size, L layer and direction, Q query, K key, N decay rate. "MAP" is a feature map of either branch:
see MAPS.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Layouts = tuple[tuple[str, ...], tuple[str, ...]]

# By the number of axes; any other number is the same on both sides.
MAPS = {3: "BCT>BTC", 4: "BCFT>BFTC"}

# Inputs and outputs of modules, by the reference's class and path: the first row that fits. The
# last layout is for all further tensors.
MODULES: tuple[tuple[str, str, Layouts], ...] = (
    ("Demucs|HDemucs|HTDemucs|apply_model|Separator", "", (("BAT",), ("BSAT",))),
    ("LSTM", ".*", (("TBC>BTC",), ("TBC>BTC", "LBD", "LBD"))),
    (".*", r"crosstransformer\..+", (("BTC",), ("BTC",))),
    ("Linear", ".*", (("TBC>BTC",), ("TBC>BTC",))),
    (".*", ".*", (("MAP",), ("MAP",))),
)


def of_module(module_class: str, path: str) -> Layouts:
    """The layouts of a module's inputs and outputs."""
    return next(
        layouts
        for classes, paths, layouts in MODULES
        if re.fullmatch(classes, module_class) and re.fullmatch(paths, path)
    )


def of_tensor(layouts: tuple[str, ...], index: int, array: Array) -> str:
    """The layout of one of several tensors: the last one declared is for all that follow."""
    layout = layouts[min(index, len(layouts) - 1)]
    return MAPS.get(array.ndim, "") if layout == "MAP" else layout


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
    if not array.ndim:
        return array
    return np.ascontiguousarray(np.transpose(array, [start.index(axis) for axis in end]))
