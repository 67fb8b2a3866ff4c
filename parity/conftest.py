"""Runs each case once a session, whatever the number of tests that look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parity.cases import CASES, Case
from parity.result import Result
from parity.run import run_case

DTYPES = ("float64", "float32")
_results: dict[tuple[str, str, bool], Result] = {}


@pytest.fixture
def live(request: pytest.FixtureRequest) -> bool:
    """Whether the running reference is the measure, not the goldens."""
    return bool(request.config.getoption("--live"))


@pytest.fixture
def result_of(live: bool) -> Callable[[Case, str], Result]:
    """The result of a case at a dtype."""

    def result(case: Case, dtype: str) -> Result:
        key = (case.name, dtype, live)
        if key not in _results:
            # Whether anything depends on a parameter is no question of precision: asked once.
            probe = dtype == "float64"
            _results[key] = run_case(case, dtype, live=live, probe_parameters=probe)
        return _results[key]

    return result


@pytest.fixture(autouse=True, scope="session")
def _whole_tracebacks() -> None:
    """Nothing hidden in a failure; and eager operations take a sixth less time."""
    import keras
    import tensorflow as tf

    tf.debugging.disable_traceback_filtering()
    keras.config.disable_traceback_filtering()


@pytest.fixture(autouse=True, scope="session")
def _html(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    path = request.config.getoption("--html")
    if path:
        from parity.report import write_html

        write_html(Path(path), list(_results.values()))


def stored_cases() -> list[Case]:
    """The cases whose goldens are in the repository."""
    return [case for case in CASES if case.stored == "repository"]
