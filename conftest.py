"""Options of the test suite, and the environment that results depend on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# No test asks the real hub; those of the hub have one of their own and unset this.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Real music may lie beside the checkout; its licences keep it out of it.
MUSIC = Path(__file__).resolve().parent.parent / "shared" / "audio"
if MUSIC.is_dir():
    os.environ.setdefault("PARITY_AUDIO", str(MUSIC))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--live`, `--full` and `--html`."""
    group = parser.getgroup("parity")
    group.addoption(
        "--live",
        action="store_true",
        help="compare with the running PyTorch reference, and check that no golden is stale",
    )
    group.addoption("--full", action="store_true", help="with --live: full-size models as well")
    group.addoption("--html", metavar="FILE", help="write all results of this run as one page")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `--live` and `--full`, leave out what needs them: deselected, not skipped."""
    kept, left_out = [], []
    for item in items:
        live = item.get_closest_marker("live") and not config.getoption("--live")
        full = item.get_closest_marker("full") and not config.getoption("--full")
        (left_out if live or full else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept
