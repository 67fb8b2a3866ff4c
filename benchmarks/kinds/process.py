"""A command as a process: its wall clock, and its peak memory as the system counts it.

Linux counts for a process what its parent had before it, and the parent is full of models here. So
this file is run in between: a small process that starts the command, and writes down what it took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Done:
    """What a process printed and took; `peak` in bytes."""

    output: str
    seconds: float
    peak: float


def run(arguments: Sequence[str]) -> Done:
    """Run Python with arguments, and wait.

    Raises:
        RuntimeError: it failed; with the end of what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        command = [sys.executable, __file__, str(figures), *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed: {done.stdout[-2000:]}")
        return Done(done.stdout, **json.loads(figures.read_text(encoding="utf-8")))


def _between(figures: str, *arguments: str) -> int:
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, *arguments]) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    with open(figures, "w", encoding="utf-8") as file:
        json.dump({"seconds": seconds, "peak": usage.ru_maxrss * unit}, file)
    return process.returncode


if __name__ == "__main__":
    sys.exit(_between(*sys.argv[1:]))
