"""Options of the test suite, and the environment that results depend on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

from tests.support.reasons import Reasons

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Processes that share the processors: with as many threads each as there are processors, torch's
# wait for one another by turning in circles, which took more than half of their time.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
# No test asks the real hub; those of the hub have one of their own and unset this.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Real music may lie beside the checkout; its licences keep it out of it.
MUSIC = Path(__file__).resolve().parent.parent / "shared" / "audio"
if MUSIC.is_dir():
    os.environ.setdefault("PARITY_AUDIO", str(MUSIC))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--live`, `--full`, `--export`, `--training`, `--cluster`, `--html` and `--json`."""
    group = parser.getgroup("parity")
    group.addoption(
        "--live",
        action="store_true",
        help="compare with the running PyTorch reference, and check that no golden is stale",
    )
    group.addoption("--full", action="store_true", help="with --live: full-size models as well")
    group.addoption(
        "--export",
        action="store_true",
        help="make an environment with TensorFlow alone, and separate in a browser",
    )
    group.addoption(
        "--training",
        action="store_true",
        help="render with FluidSynth and its SoundFonts, and what else takes a training's tools",
    )
    group.addoption(
        "--cluster",
        action="store_true",
        help="start Ray clusters of several nodes, and kill nodes, workers and drivers",
    )
    group.addoption("--html", metavar="FILE", help="write all results of this run as one page")
    group.addoption("--json", metavar="FILE", help="write all results of this run, for the gate")


@pytest.fixture
def sigint_heard() -> Iterator[None]:
    """Let the test and its processes hear Ctrl-C, which a job in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse at once what pytest finds out minutes later, and skips without a reason.

    It looks at `-k` and `-m` when all tests are collected and their jobs started, and the
    files are written when all is done.
    """
    config.pluginmanager.register(Reasons())
    for option, text in (("-k", config.option.keyword), ("-m", config.option.markexpr)):
        try:
            Expression.compile(text or "x")
        except Exception as error:  # its type is another one in each pytest
            raise pytest.UsageError(f"{option} {text!r} is no expression: {error}") from error
    for option in ("--html", "--json"):
        path = config.getoption(option)
        if path and (Path(path).is_dir() or not Path(path).parent.is_dir()):
            raise pytest.UsageError(f"{option} {path}: expected a file in a folder that exists.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs `--live`, `--full` and the like: deselected, not skipped."""
    needed = ("live", "full", "export", "training", "cluster")
    missing = [name for name in needed if not config.getoption(f"--{name}")]
    kept, left_out = [], []
    for item in items:
        (left_out if any(map(item.get_closest_marker, missing)) else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept
