"""A process that has one commit's model ready and runs it when told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from benchmarks.timing import verify
from parity.core.compare import Array

TOLERANCE = 1e-5
WORKER = Path(__file__).parent / "worker.py"


class Runner:
    """A process in a `with` block, in which `run` gives the seconds of one pass.

    Args:
        tree: whose `demucs_tf` runs.
        preset: the model.
        segment: seconds, if not the preset's.
    """

    def __init__(self, tree: Path, preset: str, segment: float | None) -> None:
        self._tree = tree
        self._about = {"preset": preset, "segment": segment}
        self._process: subprocess.Popen[str] | None = None
        self.stems: Array | None = None  # of the first pass

    def start(self) -> float:
        """Seconds of a process that ends with its first stems."""
        start = time.perf_counter()
        with self:
            return time.perf_counter() - start

    def __enter__(self) -> Runner:
        """Return when the first pass is done.

        Raises:
            RuntimeError: the process ends before; what it says is on stderr.
        """
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "stems.npy"
            self._process = subprocess.Popen(
                [sys.executable, str(WORKER), json.dumps({**self._about, "out": str(out)})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(self._tree), "TF_CPP_MIN_LOG_LEVEL": "3"},
                cwd=self._tree,
            )
            self._answer()
            self.stems = np.load(out)
        return self

    def run(self) -> float:
        """One pass."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> float:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("seconds "):
                return float(line.split()[1])
        raise RuntimeError(f"{WORKER.name} in {self._tree} ended early.")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def interleaved(
    runners: Mapping[str, Runner], rounds: int, measure: Callable[[Runner], float]
) -> dict[str, list[float]]:
    """Seconds by side; each round begins with another one.

    Raises:
        WrongResult: a side gives other stems than the first.
    """
    names = list(runners)
    times: dict[str, list[float]] = {name: [] for name in names}
    for runner in runners.values():
        if runner.stems is None:
            measure(runner)  # warms the disk's cache
    first = runners[names[0]].stems
    for name in names[1:]:
        _verify(name, runners[name].stems, first)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            times[name].append(measure(runners[name]))
    return times


def _verify(name: str, found: Array | None, wanted: Array | None) -> None:
    assert found is not None
    assert wanted is not None
    verify(name, {"stems": found}, {"stems": wanted}, TOLERANCE)
