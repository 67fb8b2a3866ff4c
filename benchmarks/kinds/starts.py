"""A start stage by stage, up to the second pass over a segment: every run is a fresh process.

The run that is verified, before any is timed, leaves the graph that is kept.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.kinds import process, sides
from benchmarks.timing import Job, Outcome, Run

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.kinds import Place


def job(case: Case, place: Place) -> Job:
    """Each stage is a figure, and so are the whole process and its peak memory."""
    model = case.options["model"]
    return Job(
        ways={way: partial(ready, way, model, place.threads, place) for way in case.ways},
        against=case.against,
        audio=sides.chunk(model).shape[-1] / sides.the_reference(model).samplerate,
    )


def ready(side: str, model: str, threads: int, place: Place) -> Run:
    """A start of one side, see `benchmarks.child.SIDES`, with so many threads."""
    from demucs_tf import save_model

    file, out = place.folder / f"{model}.safetensors", place.folder / f"{model}-{side}.npy"
    if not file.exists():
        save_model(sides.the_port(model), file)
    about = {
        "side": side,
        "file": str(file),
        "preset": model,
        "threads": threads,
        "length": sides.chunk(model).shape[-1],
        "out": str(out),
    }

    def run() -> Outcome:
        done = process.run(["-m", "benchmarks.child", json.dumps(about)])
        stages: dict[str, float] = json.loads(done.output.strip().splitlines()[-1])
        figures = {"seconds": done.seconds, "peak": done.peak, **stages}
        return Outcome({"stems": np.load(out)}, figures)

    return run
