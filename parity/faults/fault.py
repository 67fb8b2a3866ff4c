"""What a fault is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One fault: `owner.attribute` becomes `replacement` while `case` runs."""

    name: str
    case: str
    place: str
    owner: Any
    attribute: str
    replacement: Any
