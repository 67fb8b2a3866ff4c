"""Several segments in one pass: the ways are sides and sizes, "graph 4"."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.kinds import sides
from benchmarks.models import SUBJECTS
from benchmarks.timing import Job, Outcome, Run

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.kinds import Place


def job(case: Case, place: Place) -> Job:
    """Seconds are those of one segment; every pass is verified on the first of its batch."""
    model = case.options["model"]
    gflop = SUBJECTS[model].gflop
    points = {way: int(way.split()[1]) for way in case.ways}
    mix = sides.chunk(model, batch=max(points.values()))

    def ready(way: str) -> Run:
        count = points[way]
        forward = sides.forward(way.split()[0], model, place, case.options)

        def run() -> Outcome:
            start = time.perf_counter()
            stems = forward(mix[:count])
            seconds = time.perf_counter() - start
            return Outcome({"first": stems[:1]}, {"seconds": seconds / count})

        return run

    return Job(
        ways={way: partial(ready, way) for way in case.ways},
        against=case.against,
        flop=gflop and gflop * 1e9,
        audio=mix.shape[-1] / sides.the_reference(model).samplerate,
        points={way: float(point) for way, point in points.items()},
    )
