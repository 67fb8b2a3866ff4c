"""One segment of a whole model, every way that runs it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.kinds import sides
from benchmarks.models import SUBJECTS
from benchmarks.timing import Job, Run

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.kinds import Place


def job(case: Case, place: Place) -> Job:
    """The chunk is the model's own segment, or what it is padded to."""
    model = case.options["model"]
    mix = sides.chunk(model)
    gflop = SUBJECTS[model].gflop

    def ready(way: str) -> Run:
        return partial(sides.forward(way, model, place, case.options), mix)

    return Job(
        ways={way: partial(ready, way) for way in case.ways},
        against=case.against,
        flop=gflop and gflop * 1e9,
        audio=mix.shape[-1] / sides.the_reference(model).samplerate,
    )
