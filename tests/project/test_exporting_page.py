"""`docs/exporting.md` has what was measured, and what was measured is good enough."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.exports.files import KINDS
from benchmarks.exports.page import MISSING, write_tables

DOCS = Path(__file__).parents[2] / "docs"
FOUND: dict[str, Any] = json.loads((DOCS / "exporting.json").read_text(encoding="utf-8"))


COMPARED = [  # of others the page says that they were not measured
    (name, step)
    for name, steps in FOUND.items()
    for step in steps
    if step.startswith("errors") and "tensorflow" not in step
]
# dB against the reference over a track: all stems, and the worst.
BARS = {"float32": (100, 95), "float16": (60, 60), "int8": (35, 35)}
# The reference in float32 against itself in float64, over a segment. Where that is below the bars:
# two errors of its size, one on either side, are 3 dB more.
REFERENCE = {"mdx_mask": (66.5, 64.0)}
MEGABYTES = {"float32": 176, "float16": 90, "int8": 60}  # of htdemucs


def test_the_tables_are_those_of_the_measurements(tmp_path: Path) -> None:
    page = Path(shutil.copy(DOCS / "exporting.md", tmp_path))
    write_tables(page, FOUND)
    assert page.read_text(encoding="utf-8") == (DOCS / "exporting.md").read_text(encoding="utf-8")


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    page = Path(shutil.copy(DOCS / "exporting.md", tmp_path))
    write_tables(page, {})
    assert f"| htdemucs | {MISSING} |" in page.read_text(encoding="utf-8")


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# Exports\n")
    with pytest.raises(SystemExit, match="expected the marks <!-- measured: errors -->"):
        write_tables(tmp_path / "page.md", {})


@pytest.mark.parametrize(("name", "step"), COMPARED)
def test_every_file_is_close_to_the_reference(name: str, step: str) -> None:
    measured = FOUND[name][step]["followed"]
    total, lowest = BARS[step.split()[2]]
    own_total, own_lowest = REFERENCE.get(name, (math.inf, math.inf))
    assert measured["total"] >= min(total, own_total - 3)
    assert measured["lowest"] >= min(lowest, own_lowest - 3)


@pytest.mark.parametrize(("form", "weights"), KINDS)
def test_htdemucs_is_small(form: str, weights: str) -> None:
    """How long it took depends on what else the machine did; the page says it."""
    measured = FOUND["htdemucs"][f"export {form} {weights}"]
    assert measured["bytes"] <= MEGABYTES[weights] * 1e6
    assert measured["peak"] <= 8e9
