"""A process that has one commit's model ready and runs it when told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from benchmarks.timing import verify

TOLERANCE = 1e-5
WORKER = Path(__file__).parent / "worker.py"


class Runner:
    """Used in a `with` block; `run` gives the seconds of one pass.

    Args:
        tree: whose `demucs_tf` runs.
        preset: the model.
        segment: seconds, if not the preset's.

    Raises:
        RuntimeError: the process ends early; what it says is on stderr.
    """

    def __init__(self, tree: Path, preset: str, segment: float | None) -> None:
        self._stems = tree / "stems.npy"
        about = {"preset": preset, "segment": segment, "out": str(self._stems)}
        environment = {**os.environ, "PYTHONPATH": str(tree), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), json.dumps(about)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=tree,
        )
        self._answer()
        self.stems = np.load(self._stems)

    def run(self) -> float:
        """One pass."""
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> float:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("seconds "):
                return float(line.split()[1])
        raise RuntimeError(f"{WORKER.name} in {self._stems.parent} ended early.")

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def interleaved(runners: Mapping[str, Runner], rounds: int) -> dict[str, list[float]]:
    """Seconds by side; each round begins with another one.

    Raises:
        WrongResult: a side gives other stems than the first.
    """
    names = list(runners)
    wanted = runners[names[0]].stems
    for name in names[1:]:
        verify(name, {"stems": runners[name].stems}, {"stems": wanted}, TOLERANCE)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            times[name].append(runners[name].run())
    return times
