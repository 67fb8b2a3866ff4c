"""Branches that no case takes: found with coverage.py, each with its reason or red."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demucs_tf import models
from parity.mutants import branches, unheard
from parity.mutants.branches import Branch
from parity.mutants.unheard import REASONS, Reason
from tests.parity.conftest import Call

CODE = """
def taken(x):
    if x:
        return 1
    return 2

class Layer:
    def call(self, x, training=False):
        if training:
            x = -x
        for each in range(x):
            x += each
        return x

    def never(self, x):
        def inner():
            if x:
                return 1
            return 2
        return inner()

taken(0), taken(1), Layer().call(2)
"""
FOUND = [
    "layers/some.py:9 Layer.call: if training: -> x = -x",
    "layers/some.py:15 Layer.never: def never(self, x): -> (never called)",
]


@pytest.fixture
def report(tmp_path: Path) -> Any:
    """What coverage.py saw of some code."""
    path = tmp_path / "demucs_tf" / "layers" / "some.py"
    path.parent.mkdir(parents=True)
    path.write_text(CODE)
    for command in (["run", "--branch", str(path)], ["json", "-q", "-o", "report.json"]):
        subprocess.run([sys.executable, "-m", "coverage", *command], cwd=tmp_path, check=True)
    return json.loads((tmp_path / "report.json").read_text())["files"]


def test_what_was_not_taken_is_found(report: Any, tmp_path: Path) -> None:
    files = {str(tmp_path / name): found for name, found in report.items()}
    assert list(map(str, branches.unheard(files))) == FOUND


def test_each_needs_a_reason() -> None:
    some = [Branch("a.py", "f", "if x: ", "y = 1", 3), Branch("a.py", "g", "for x", "(end)", 9)]
    rows = [Reason("a.py f", "if * -> y*", "why"), Reason("b.py *", "*", "gone")]
    known, bare, idle = branches.explained(some, rows)
    assert known == [(some[0], rows[0])]
    assert bare == [some[1]]
    assert idle == [rows[1]]


def test_rows_name_what_is_there() -> None:
    """Patterns of one place name a function of the port, so that none outlives it."""
    package = Path(models.__file__).parents[1]
    assert len(REASONS) == len(set(map(str, REASONS))) > 40
    for reason in REASONS:
        file, _, function = reason.where.partition(" ")
        name = function.rpartition(".")[2]
        if not any(sign in file + name for sign in "*"):
            assert f"def {name}(" in (package / file).read_text(encoding="utf-8"), reason


@pytest.mark.parametrize(
    ("rows", "status", "said"),
    [
        ([], 1, "NO REASON  layers/some.py:9 Layer.call: if training: -> x = -x"),
        ([Reason("*", "*", "Left out.")], 0, "0 without one"),
        ([Reason("*", "*", "Left out."), Reason("x", "y", "z")], 1, "NO BRANCH  x: y"),
    ],
)
def test_the_command(
    call: Call, monkeypatch: pytest.MonkeyPatch, rows: list[Reason], status: int, said: str
) -> None:
    some = [Branch("layers/some.py", "Layer.call", "if training:", "x = -x", 9)]
    monkeypatch.setattr(unheard, "REASONS", tuple(rows))
    monkeypatch.setattr(branches, "measure", lambda cases: {"f": {"executed_branches": [[1, 2]]}})
    monkeypatch.setattr(branches, "unheard", lambda files: some)
    out, _ = call("coverage", "--branches", status=status)
    assert said in out
    assert "1 branches taken" in out


def test_without_coverage_py(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branches, "find_spec", lambda name: None)
    _, err = call("coverage", "--branches", status=2)
    assert "pip install coverage" in err
