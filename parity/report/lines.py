"""The lines of both sides that a record is about, and what stands around them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from parity.core.result import ParityError, Record, Result
from parity.where import port, reference

BEFORE, AFTER = 2, 7  # lines shown around one


def port_of(result: Result, record: Record | None) -> str:
    """The port's file and line of a record, where the port is that of Demucs."""
    if record is None or not result.reference.startswith("demucs."):
        return ""
    return _port(record.path, record.module_class, record.source)


@cache
def _port(path: str, owner: str, source: str) -> str:
    """As `port.of_record`; all layers of a class have the same."""
    return str(port.of_record(path, owner, source) or "")


def excerpts(places: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What stands at "file:line", of the files that are here: the first line's number, the lines.

    Of a class of the port it is what the class computes. The reference is read where it is
    installed, and nothing of it is run.
    """
    found = {}
    for place in sorted(set(places)):
        file, _, text = place.rpartition(":")
        lines = _file(file)
        number = int(text) if text.isdecimal() else 0
        if 0 < number <= len(lines):
            shown = _call(file, number)
            first = max(1, shown - BEFORE)
            until = shown + AFTER
            found[place] = {"first": first, "here": shown, "lines": lines[first - 1 : until]}
    return found


def _file(name: str) -> Sequence[str]:
    """The lines of a file of the port, the reference or torch; none where it is not here."""
    if name in port.index().lines:
        return port.index().lines[name]
    try:
        if name in reference.index().lines:
            return reference.index().lines[name]
    except ParityError:
        return ()
    return _torch(name) if name.startswith("torch/nn/") else ()


@cache
def _torch(name: str) -> Sequence[str]:
    spec = importlib.util.find_spec("torch")
    path = Path(spec.origin or "").parent.parent / name if spec else Path(name)
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else ()


@cache
def _call(file: str, number: int) -> int:
    """The line of `call` of a class of the port that begins at a line; else the line itself."""
    index = port.index()
    for block in index.blocks:
        if block.is_class and (block.file, block.node.lineno) == (file, number):
            own = [m for m in index.methods(block) if m.file == file and m.node.name == "call"]
            return next((method.node.lineno for method in own), number)
    return number
