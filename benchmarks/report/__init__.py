"""From the records of runs to a table, pictures and `docs/benchmarks.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import page, pictures, plots
from benchmarks.report.frame import read
from parity.core.files.atomic import write_whole


def write(records: Sequence[Path], docs: Path, html: Path) -> list[Path]:
    """Write everything, and say what.

    Args:
        records: JSON files of pytest-benchmark; of a case in several of them, the last one counts.
        docs: the folder for the page, its table as CSV, and its pictures.
        html: the page with pictures that answer to the mouse.

    Raises:
        SystemExit: a file is no record of these benchmarks.
    """
    found = read(records)
    images = docs / "images"
    images.mkdir(parents=True, exist_ok=True)
    charts = plots.charts(found.table)
    for old in images.glob("benchmarks-*.png"):
        old.unlink()
    written = [pictures.png(chart, images / f"benchmarks-{chart.name}.png") for chart in charts]
    table = docs / "benchmarks.csv"
    write_whole(table, found.table.to_csv(index=False, float_format="%.6g"))
    write_whole(docs / "benchmarks.md", page.text(found, charts))
    write_whole(html, pictures.html(charts, found.table))
    return [docs / "benchmarks.md", table, *written, html]
