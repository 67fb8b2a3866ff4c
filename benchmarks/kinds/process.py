"""A command as a process: its wall clock, and its peak memory as the system counts it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass


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
    with tempfile.TemporaryFile("w+") as printed:
        start = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, *arguments], stdout=printed, stderr=subprocess.STDOUT
        ) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        printed.seek(0)
        output = printed.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {output[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Done(output, seconds, usage.ru_maxrss * unit)
