"""A whole track through `apply_model`, in this process."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.kinds import sides
from benchmarks.timing import Job, Run
from parity.cases.signals import piece
from parity.core.compare import Array

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.kinds import Place


def job(case: Case, place: Place) -> Job:
    """The piece of `parity.cases.signals`, without shifts."""
    model, seconds = case.options["model"], case.options["seconds"]
    mix = piece(seconds).astype(np.float32)[None]
    ready = {"graph": _port, "torch": _reference}
    return Job(
        ways={way: partial(ready[way], model, mix) for way in case.ways},
        against=case.against,
        audio=seconds,
    )


def _port(model: str, mix: Array) -> Run:
    from demucs_tf import apply_model

    port = sides.the_port(model)
    return lambda: np.asarray(apply_model(port, mix, shifts=0))


def _reference(model: str, mix: Array) -> Run:
    import torch
    from demucs.apply import apply_model

    module = sides.the_reference(model)

    def run() -> Array:
        with torch.no_grad():
            stems: Array = apply_model(module, torch.from_numpy(mix), shifts=0).numpy()
        return stems

    return run
