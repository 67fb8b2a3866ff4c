"""Computes what the tests look at ahead, each case once, whatever the number of its tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from parity.core.machine.mkl import same_on_every_processor
from parity.core.result import Record, Result, badness, write_json
from parity.tests.jobs import Pool, case_result, control_path

same_on_every_processor()

DTYPES = ("float64", "float32")
_pool = Pool()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the processes: they are ready when the tests are collected."""
    if not session.config.option.collectonly:
        _pool.open()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start what the selected tests will wait for: `jobs(params, live)` of their modules."""
    if session.config.option.collectonly:
        return
    live = session.config.getoption("--live")
    for item in session.items:
        jobs = getattr(getattr(item, "module", None), "jobs", None)
        callspec = getattr(item, "callspec", None)
        if jobs is not None and callspec is not None:
            _pool.start(jobs(callspec.params, live))


@pytest.fixture(scope="session")
def pool(live: bool) -> Pool:
    """The jobs of this session, whose comparisons count: the negative control has failed."""
    assert _pool.result(control_path, live)
    return _pool


@pytest.fixture(scope="session")
def live(request: pytest.FixtureRequest) -> bool:
    """Whether the running reference is the measure, not the goldens."""
    return bool(request.config.getoption("--live"))


@pytest.fixture(scope="session")
def result_of(live: bool, pool: Pool) -> Callable[[str, str], Result]:
    """The result of a case, by its name, at a dtype."""

    def result(name: str, dtype: str) -> Result:
        found: Result = pool.result(case_result, name, dtype, live)
        return found

    return result


@pytest.fixture(autouse=True, scope="session")
def _close(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    html, json = map(request.config.getoption, ("--html", "--json"))
    if html:
        from parity.commands.outputs import against_baseline
        from parity.report.html import write_html

        results = _pool.results(case_result)
        write_html(Path(html), results, tables=against_baseline(results))
    if json:
        write_json(Path(json), _pool.results(case_result))
    _pool.close()


def properties(case: str, path: str, records: Sequence[Record]) -> Iterator[tuple[str, object]]:
    """What JUnit keeps of a test on some records: of each dtype the one that is worst."""
    yield from (("case", case), ("layer", path or "(model)"))
    for dtype in dict.fromkeys(record.dtype for record in records):
        worst = max((r for r in records if r.dtype == dtype), key=badness)
        yield f"{dtype} error", worst.rel_l2
        yield f"{dtype} tolerance", worst.tolerance
        yield f"{dtype} verdict", worst.verdict
