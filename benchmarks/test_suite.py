"""Runs the table: one test a case, which verifies before it times."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from benchmarks.cases import CASES, Case
from benchmarks.kinds import Place, job_of
from benchmarks.timing import measure


def _row(case: Case) -> Any:
    marks = [getattr(pytest.mark, name) for name in ("full", "gpu") if getattr(case, name)]
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.filterwarnings("default")  # of other people's: they are no errors here
@pytest.mark.parametrize("case", [*map(_row, CASES)])
def test_speed(benchmark: Any, case: Case, place: Place) -> None:
    """Refuse a wrong result, else time all ways in turn."""
    benchmark.group = case.name.partition("/")[0]
    benchmark.extra_info["case"] = asdict(case)
    record = measure(benchmark, job_of(case, place), case.tolerance, case.rounds)
    assert len(record["rounds"]) == case.rounds
    assert record["snr_db"]
