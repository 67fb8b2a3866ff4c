"""Other engines give what eager mode gives: graphs and XLA by tensor, exported files by stem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from parity.core.capture.port import Engine
from parity.exports import any_length
from parity.exports.columns import COLUMNS, ROWS
from parity.report import text
from parity.tests.jobs import Job, Pool, engine_result, export_cells, unknown_length

TENSORS = [
    "demucs-lstm-framed",
    "demucs-attention",
    "hdemucs-multi",
    "hdemucs-wiener2-residual",
    "htdemucs-plain",
    "htdemucs-tokens",
]
ENGINES: list[Engine] = ["graph", "xla"]
# Of each family, what other runtimes find hardest; the others are run by tox -e export.
QUICK = ["demucs-attention", "hdemucs-wiener1", "htdemucs-wide"]
CELLS = [
    pytest.param(row.case, column.name, marks=[] if row.case in QUICK else [pytest.mark.export])
    for row in ROWS
    for column in COLUMNS
    if column.format or row.case not in QUICK  # TensorFlow's engines are above
]
# Graphs for other runtimes of what branches on a length; of the others by tox -e export.
BRANCHES = ("demucs-lstm-framed-edge", "hdemucs-wiener-loud", "htdemucs-cape")
UNKNOWN = [
    pytest.param(
        name,
        way,
        marks=[] if way in ("graph", "xla") or name in BRANCHES else [pytest.mark.export],
    )
    for name in any_length.CASES
    for way in any_length.WAYS
]


def jobs(params: Mapping[str, Any], live: bool) -> list[Job]:
    """What a test below waits for."""
    if "column" in params:
        return [(export_cells, params["name"], params["name"] in QUICK)]
    if "engine" in params:
        return [(engine_result, params["name"], params["engine"])]
    return [(unknown_length, params["name"], params["way"])]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TENSORS)
def test_every_tensor(name: str, engine: Engine, pool: Pool) -> None:
    result = pool.result(engine_result, name, engine)
    assert result.verdict == "pass", text.details(result)


@pytest.mark.parametrize(("name", "way"), UNKNOWN)
def test_unknown_length(name: str, way: any_length.Way, pool: Pool) -> None:
    assert pool.result(unknown_length, name, way) == []


@pytest.mark.parametrize(("name", "column"), CELLS)
def test_every_cell(name: str, column: str, pool: Pool) -> None:
    (cell,) = [
        each for each in pool.result(export_cells, name, name in QUICK) if each.column == column
    ]
    assert cell.verdict == "pass", cell.reason
