"""Options of the benchmarks, where they run, and what their records say of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.kinds import Place
from benchmarks.machine import describe, processors


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--gpu` and `--threads`; `--full` is the project's."""
    group = parser.getgroup("benchmarks")
    group.addoption("--gpu", action="store_true", help="the cases for a GPU, and no others")
    group.addoption("--threads", type=int, default=processors(), help="default: all processors")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the cases for a GPU out, or all others."""
    wanted = config.getoption("--gpu")
    kept = [item for item in items if bool(item.get_closest_marker("gpu")) == wanted]
    left_out = [item for item in items if item not in kept]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


@pytest.fixture(scope="session", name="place")
def _place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    from benchmarks import cards
    from benchmarks.kinds import sides

    if request.config.getoption("--gpu"):
        cards.prepare()
    threads = request.config.getoption("--threads")
    sides.use_threads(threads)
    return Place(tmp_path_factory.mktemp("benchmarks"), threads)


@pytest.fixture(autouse=True)
def _memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """All models together would fill the memory, which conversions need."""
    yield
    if request.config.getoption("--full"):
        from benchmarks.kinds import sides

        sides.forget()


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Versions, threads, load and command."""
    machine_info.update(describe(config.getoption("--threads"), config.invocation_params.args))
