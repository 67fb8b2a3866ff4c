"""One segment over the number of threads, each in a process of its own: the ways are "graph 2"."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.kinds import sides, starts
from benchmarks.models import SUBJECTS
from benchmarks.timing import Job, Outcome, Run

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.kinds import Place

SIDES = {"graph": "demucs-tf", "torch": "demucs"}


def job(case: Case, place: Place) -> Job:
    """Seconds are those of the second pass."""
    model = case.options["model"]
    gflop = SUBJECTS[model].gflop

    def ready(way: str) -> Run:
        side, threads = way.split()
        start = starts.ready(SIDES[side], model, int(threads), place)

        def run() -> Outcome:
            outcome = start()
            assert isinstance(outcome, Outcome)
            return Outcome(outcome.arrays, {"seconds": outcome.figures["second pass"]})

        return run

    return Job(
        ways={way: partial(ready, way) for way in case.ways},
        against=case.against,
        flop=gflop and gflop * 1e9,
        audio=sides.chunk(model).shape[-1] / sides.the_reference(model).samplerate,
        points={way: float(way.split()[1]) for way in case.ways},
    )
