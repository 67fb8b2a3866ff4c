"""What a relation between outputs is, and what it means to people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

Array = npt.NDArray[Any]
# What was found, what should be, (B, ...) each, and how far apart they may be, item by item.
Found = tuple[Array, Array, list[float]]


class NotDecided(Exception):
    """The model does not promise this relation; the text says why."""


@dataclass(frozen=True)
class Relation:
    """One relation at one dtype. `error` and `bound` are relative L2; `sentence` is for people."""

    name: str
    dtype: str
    verdict: Literal["pass", "fail", "not decided"]
    error: float | None
    bound: float | None
    sentence: str


# What it means if a relation holds, and if not.
SENTENCES = {
    "order": (
        "stems do not depend on an item's place in the batch",
        "stems depend on an item's place in the batch",
    ),
    "alone": (
        "an item gives the same stems alone and in a batch",
        "an item gives other stems alone than in a batch",
    ),
    "gain": (
        "a louder mixture gives the same stems, as much louder",
        "a louder mixture gives other stems",
    ),
    "channels": (
        "with its channels swapped, in weights and mixture, the stems' channels are swapped",
        "left and right are not treated alike",
    ),
    "whole": (
        "a track of one chunk gives the same split and whole",
        "a track of one chunk gives other stems split than whole",
    ),
    "chunks": (
        "where one chunk stands alone, a split track has what the model makes of that chunk",
        "a split track differs from its chunks where only one of them covers it",
    ),
    "graph": (
        "the graph gives what eager execution gives, at other lengths as well",
        "the graph gives something else than eager execution",
    ),
}
