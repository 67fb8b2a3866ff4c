"""What runs a case: one file a kind, each with `job(case, place)`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.timing import Job


@dataclass(frozen=True)
class Place:
    """Where cases run: a folder for their files, and the threads that each way may use."""

    folder: Path
    threads: int


def job_of(case: Case, place: Place) -> Job:
    """What the case runs."""
    job: Job = import_module(f"benchmarks.kinds.{case.kind}").job(case, place)
    return job
