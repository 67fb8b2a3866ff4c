"""Nothing is left out: N of N modules, calls, taps, parameters, and an exact number of records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from parity.cases import Case
from parity.core.result import Result
from parity.report import text
from parity.run import live_expected, stored_expected
from parity.tests.conftest import DTYPES, stored_cases
from parity.tests.jobs import Job, case_result


def jobs(params: Mapping[str, Any], live: bool) -> list[Job]:
    """What the test below waits for."""
    return [(case_result, params["case"].name, params["dtype"], live)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", stored_cases(), ids=lambda case: case.name)
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
