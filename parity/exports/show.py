"""The table as Markdown, which a terminal shows as well as a page does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from demucs_tf.utils.text import printable
from parity.exports.columns import ROWS
from parity.exports.table import Cell

_HEARS = {row.case: row.hears for row in ROWS}


def table(cells: Sequence[Cell]) -> str:
    """A line for each case and a column for each way to run it: dB, of the worst stem."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    found = {(cell.case, cell.column): cell for cell in cells}
    rows = [["case", "what it is there for", *columns]]
    for case in dict.fromkeys(cell.case for cell in cells):
        texts = (found.get((case, column)) for column in columns)
        rows.append([case, _HEARS.get(case, ""), *("" if c is None else text(c) for c in texts)])
    return "\n".join(_markdown(rows))


def text(cell: Cell) -> str:
    """A cell: what was found; with the bound, where it is beyond that; or that it is refused."""
    if cell.verdict == "refused":
        return "refused"
    found = _decibel(cell.decibel)
    if cell.verdict == "pass":
        return found
    return f"**{found}**, needs {-20 * math.log10(cell.bound):.1f}"


def reasons(cells: Iterable[Cell]) -> Iterator[str]:
    """Why cells do not pass, a line for each reason."""
    said: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if cell.verdict != "pass":
            said.setdefault((cell.verdict, cell.reason), []).append(f"{cell.case} {cell.column}")
    for (verdict, reason), places in said.items():
        yield f"{verdict}: {', '.join(places)}: {printable(reason)}"


def _decibel(value: float) -> str:
    if math.isnan(value):
        return "nothing"
    return "equal" if math.isinf(value) and value > 0 else f"{value:.1f}"


def _markdown(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        padded = [
            each.ljust(width) if place < 2 else each.rjust(width)
            for place, (each, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"| {' | '.join(padded)} |"
        if number == 0:
            marks = ["-" * w if p < 2 else f"{'-' * (w - 1)}:" for p, w in enumerate(widths)]
            yield f"| {' | '.join(marks)} |"
