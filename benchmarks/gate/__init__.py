"""Holds the speed of one commit against another's, in one job."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gate import rule
from benchmarks.gate.runner import Runner, interleaved

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Gated:
    """A preset, the seconds of its segment if not its own, and which share of rounds it gets.

    `start`: not a pass is timed, but a process up to its first stems.
    """

    preset: str
    segment: float | None = None
    share: float = 1.0
    start: bool = False


CASES = {
    "htdemucs": Gated("htdemucs"),
    "hdemucs_mmi": Gated("hdemucs_mmi", 10),
    "mdx_time": Gated("mdx_time", 10),
    "start of htdemucs": Gated("htdemucs", share=0.4, start=True),
}


def compare_commits(base: str, head: str, rounds: int, keyword: str) -> int:
    """Print a line for each case; 1 if one of them got slower, else 0.

    Raises:
        SystemExit: no such commit, or no case with such a name.
    """
    chosen = {name: about for name, about in CASES.items() if keyword in name}
    if not chosen:
        raise SystemExit(f"-k {keyword!r}: expected part of one of {', '.join(CASES)}.")
    slower = []
    with trees(base, head) as (base_tree, head_tree):
        places = {"base": base_tree, "again": base_tree, "head": head_tree}
        for name, case in chosen.items():
            times = _times(case, places, max(1, round(rounds * case.share)))
            verdict = rule.judge(times["base"], times["again"], times["head"])
            print(f"{name}: {verdict}", flush=True)
            slower += [name] if verdict.slower else []
    if slower:
        print(f"error: {head} is slower than {base}: {', '.join(slower)}.", file=sys.stderr)
    return int(bool(slower))


def _times(case: Gated, places: dict[str, Path], rounds: int) -> dict[str, list[float]]:
    made = {side: Runner(tree, case.preset, case.segment) for side, tree in places.items()}
    if case.start:
        return interleaved(made, rounds, Runner.start)
    with ExitStack() as stack:
        for runner in made.values():
            stack.enter_context(runner)
        return interleaved(made, rounds, Runner.run)


@contextmanager
def trees(*commits: str) -> Iterator[list[Path]]:
    """Each commit, checked out in a folder that is removed at the end.

    Raises:
        SystemExit: there is no such commit.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = []
        try:
            for number, commit in enumerate(commits):
                made.append(Path(folder) / str(number))
                _git("worktree", "add", "--detach", "--quiet", str(made[-1]), commit)
            yield made
        finally:
            for tree in made:
                if tree.exists():
                    _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> None:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"git {' '.join(arguments)}: {done.stderr.strip()}")
