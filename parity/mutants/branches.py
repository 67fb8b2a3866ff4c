"""Which branches of the port no stored case takes, measured with coverage.py, and why."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from parity.core.result import ParityError
from parity.mutants.unheard import Reason

FOLDERS = ("layers", "blocks", "models")
END = "(end)"
NEVER = "(never called)"


@dataclass(frozen=True, order=True)
class Branch:
    """A way that no case took: from a line to another, or a function that none called.

    Attributes:
        file: of the port, below its package.
        function: `Class.method` or `function`.
        source, target: the text of both lines; `END` where it leaves the function.
        line: where that is.
    """

    file: str
    function: str
    source: str
    target: str
    line: int = field(compare=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function}: {self.source} -> {self.target}"


def unheard(files: Mapping[str, Any]) -> list[Branch]:
    """The branches that were not taken, of the files of coverage.py's JSON report."""
    return sorted({branch for file, found in files.items() for branch in _of_file(file, found)})


def _of_file(file: str, found: Mapping[str, Any]) -> Iterator[Branch]:
    text = Path(file).read_text(encoding="utf-8")
    lines, executed = text.splitlines(), set(found["executed_lines"])
    name = Path(file).as_posix().rpartition("demucs_tf/")[2]
    functions = list(_functions(ast.parse(text)))
    silent: set[int] = set()  # lines of functions that were never called
    for qualified, node in functions:
        inside = range(node.body[0].lineno, (node.end_lineno or 0) + 1)
        if node.lineno not in silent and not executed.intersection(inside):
            yield Branch(name, qualified, _text(lines, node.lineno), NEVER, node.lineno)
            silent.update(range(node.lineno, inside.stop))
    for start, end in found["missing_branches"]:
        around = [q for q, node in functions if node.lineno <= start <= (node.end_lineno or 0)]
        if around and start not in silent:
            target = _text(lines, end) if end > 0 else END
            yield Branch(name, around[-1], _text(lines, start), target, start)


def _text(lines: Sequence[str], number: int) -> str:
    return lines[number - 1].strip()


def _functions(node: ast.AST, owner: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions with their qualified names, outer ones first."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield f"{owner}{child.name}", child
            yield from _functions(child, f"{owner}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{owner}{child.name}.")
        else:
            yield from _functions(child, owner)


def explained(
    branches: Sequence[Branch], reasons: Sequence[Reason]
) -> tuple[list[tuple[Branch, Reason]], list[Branch], list[Reason]]:
    """Branches with their reason, those that have none, and reasons of nothing."""
    known, bare = [], []
    for branch in branches:
        reason = next((each for each in reasons if _fits(branch, each)), None)
        if reason is None:
            bare.append(branch)
        else:
            known.append((branch, reason))
    used = {id(reason) for _, reason in known}
    return known, bare, [reason for reason in reasons if id(reason) not in used]


def _fits(branch: Branch, reason: Reason) -> bool:
    return fnmatchcase(f"{branch.file} {branch.function}", reason.where) and fnmatchcase(
        f"{branch.source} -> {branch.target}", reason.way
    )


def measure(cases: Sequence[str] = ()) -> Mapping[str, Any]:
    """Run cases, all stored ones unless some are named, and return what coverage.py saw.

    Raises:
        ParityError: coverage.py is missing, or a case fails.
    """
    if find_spec("coverage") is None:
        raise ParityError("coverage.py counts branches: pip install coverage.")
    named = [part for name in cases for part in ("--case", name)]
    wanted = [f"*/demucs_tf/{name}/*" for name in FOLDERS]
    with tempfile.TemporaryDirectory() as folder:
        data, report = Path(folder) / "data", Path(folder) / "report.json"
        files = [f"--data-file={data}", f"--include={','.join(wanted)}"]
        run = [sys.executable, "-m", "coverage", "run", "--branch", *files, "-m", "parity", "run"]
        found = subprocess.run([*run, *named], stdout=subprocess.PIPE, text=True)
        if found.returncode:
            last = (found.stdout.splitlines() or ["nothing was printed"])[-1]
            raise ParityError(f"Branches are counted of cases that pass: {last}")
        write = [sys.executable, "-m", "coverage", "json", "-q", f"--data-file={data}"]
        subprocess.run([*write, "-o", str(report)], check=True)
        content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))["files"]
    return content
