"""One segment of a whole model, every way that runs it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.cards import CUFFT
from benchmarks.kinds import sides
from benchmarks.models import SUBJECTS
from benchmarks.timing import Job, Run

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.kinds import Place


def job(case: Case, place: Place) -> Job:
    """The chunk is the model's own segment, or what it is padded to.

    On a GPU both sides are held to what the reference gives on the processor.
    """
    model = case.options["model"]
    mix = sides.chunk(model)
    gflop = SUBJECTS[model].gflop

    def ready(way: str) -> Run:
        return partial(sides.forward(way, model, place, case.options), mix)

    on_card = case.options.get("device", "cpu") != "cpu"
    return Job(
        ways={way: partial(ready, way) for way in case.ways},
        against=case.against,
        expected={"output": sides.of_torch(model)(mix)} if on_card else None,
        bounds={"torch": CUFFT} if on_card else {},
        flop=gflop and gflop * 1e9,
        audio=mix.shape[-1] / sides.the_reference(model).samplerate,
    )
