"""Every layer and every functional step of every case: `pytest parity/ -k encoder`.

An id is case, the reference's path, its class. A failure prints the first divergence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from parity.cases import BY_NAME, IN_REPOSITORY
from parity.core.result import Result
from parity.report import text
from parity.run import SUITE
from parity.select import label
from parity.tests.conftest import DTYPES, properties
from parity.tests.jobs import Job, case_result


def _rows() -> list[Any]:
    rows = []
    for case in IN_REPOSITORY:
        manifest = SUITE.golden(case).manifest()
        outputs: Counter[str] = Counter()
        for event in manifest["events"]:
            outputs[event["path"]] += len(event["outputs"])
        owners = {event["path"]: event["owner"] for event in manifest["events"]}
        rows += [
            pytest.param(case.name, path, outputs[path], id=label(case.name, path, owner))
            for path, owner in owners.items()
        ]
    return rows


def jobs(params: Mapping[str, Any], live: bool) -> list[Job]:
    """What the test below waits for."""
    return [(case_result, params["name"], dtype, live) for dtype in DTYPES]


@pytest.mark.parametrize(("name", "path", "outputs"), _rows())
def test_equals_the_reference(
    name: str,
    path: str,
    outputs: int,
    result_of: Callable[[str, str], Result],
    record_property: Callable[[str, object], None],
) -> None:
    results = [result_of(name, dtype) for dtype in DTYPES]
    mine = [r for each in results for r in each.layers if r.path == path and r.kind != "parameter"]
    for pair in properties(name, path, mine):
        record_property(*pair)
    for result in results:
        records = [r for r in result.layers if r.path == path and r.kind != "parameter"]
        modes = 1 if BY_NAME[name].apply else 2  # isolated and cumulative
        assert len(records) == modes * outputs
        failed = [record for record in records if record.verdict != "pass"]
        assert not failed, "\n" + "\n".join([*text.table(failed), text.details(result)])
