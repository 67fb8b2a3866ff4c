"""Reads JSON that may be damaged, and writes JSON that every reader takes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# What reading a file and taking values out of it may raise, if it is not what it should be.
DAMAGED = (
    OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError,
    MemoryError,
)  # fmt: skip


def reason(error: Exception) -> str:
    """What is wrong with a file, of one of `DAMAGED`, which bare says less."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return getattr(error, "strerror", None) or str(error)


def read(path: Path) -> Any:
    """What a file holds.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is a pipe or a device, or holds no JSON, or one without end of brackets.
    """
    if path.exists() and not path.is_file():
        raise ValueError("expected a file, found a folder, a pipe or a device")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def plain(value: Any) -> Any:
    """A value with numbers that JSON lacks as texts, which `number` reads back."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def text_of(value: Any, **options: Any) -> str:
    """A value as JSON that every reader takes."""
    return json.dumps(plain(value), allow_nan=False, **options)


def by_line(head: Mapping[str, Any], name: str, entries: Mapping[str, Any]) -> str:
    """JSON with a line for each of `entries`, sorted, behind the `head`: a change can be read."""

    def lines(values: Iterable[tuple[str, Any]]) -> str:
        return ",\n".join(f"{text_of(k)}: {text_of(v, sort_keys=True)}" for k, v in values)

    return (
        f"{{{lines(head.items())},\n{text_of(name)}: {{\n{lines(sorted(entries.items()))}\n}}}}\n"
    )


def number(value: Any) -> float | None:
    """A number as JSON has it, or as a text: "inf", "-inf", "nan"; None stays None.

    Raises:
        TypeError, ValueError: it is none.
    """
    if value is None or value in ("inf", "-inf", "nan"):
        return None if value is None else float(value)
    check(float, value)
    return float(value)


def check(kind: type, *values: Any) -> None:
    """Raise TypeError unless all values are of a type; a float may be a whole number."""
    allowed = (int, float) if kind is float else (kind,)
    for value in values:
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"expected {kind.__name__}, found {repr(value)[:40]}")
