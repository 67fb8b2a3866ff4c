"""Rows of texts as aligned columns."""

from __future__ import annotations

from collections.abc import Sequence

from demucs_tf.utils.text import printable


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Texts in columns as wide as the widest."""
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
