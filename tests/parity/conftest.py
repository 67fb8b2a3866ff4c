"""Fixtures of the harness' tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from parity.__main__ import main
from parity.where import measured

Call = Callable[..., tuple[str, str]]


@pytest.fixture(autouse=True)
def _measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember what tests measure nowhere else."""
    monkeypatch.setattr(measured, "folder", lambda: tmp_path / "measured")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command; returns what it printed, after a look at its exit status."""

    def run_main(*arguments: str | Path, status: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        found = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert found == status, out + err
        assert err.count("\n") == (1 if status == 2 else 0), err
        return out, err

    return run_main
