"""Nothing is left out: N of N modules, calls, taps, parameters, an exact number of records.

And nothing is behind the baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from parity.cases import IN_REPOSITORY, Case
from parity.core.guards import gate
from parity.core.result import Result
from parity.report import text
from parity.run import golden_folder, live_expected, stored_expected
from parity.tests.conftest import DTYPES
from parity.tests.jobs import Job, case_result

BASELINE = gate.read_baseline(golden_folder() / "baseline.json")


def jobs(params: Mapping[str, Any], live: bool) -> list[Job]:
    """What the tests below wait for."""
    return [(case_result, params["case"].name, params["dtype"], live)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", IN_REPOSITORY, ids=lambda case: case.name)
def test_everything_is_compared(
    case: Case, dtype: str, live: bool, result_of: Callable[[str, str], Result]
) -> None:
    result = result_of(case.name, dtype)
    expected = live_expected(case) if live else stored_expected(case)
    tensors = sum(len(event.outputs) for event in expected.events)
    assert result.coverage.complete, text.details(result)
    modes = 1 if case.apply else 2  # a whole track has no isolated layers
    assert len(result.layers) == modes * tensors + len(expected.state)
    assert result.verdict == "pass", text.details(result)
    assert result.coverage.call_sites.total == sum(e.kind == "module" for e in expected.events)
    assert result.coverage.parameters.total == len(expected.state) - len(expected.buffers)
    print(text.summary(result))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", IN_REPOSITORY, ids=lambda case: case.name)
def test_nothing_falls_behind_the_baseline(
    case: Case, dtype: str, result_of: Callable[[str, str], Result]
) -> None:
    """No kind of layer may get noisier than the measured spread allows, none may vanish."""
    result = result_of(case.name, dtype)
    before = {**BASELINE, "results": {_name(result): BASELINE["results"][_name(result)]}}
    assert gate.regressions([result], before, text.place) == []


def test_the_baseline_has_no_other_cases() -> None:
    names = {f"{case.name} {dtype}" for case in IN_REPOSITORY for dtype in DTYPES}
    assert {name for name in BASELINE["results"] if len(name.split()) == 2} == names


def _name(result: Result) -> str:
    return f"{result.case} {result.dtype}"
