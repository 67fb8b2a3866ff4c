"""Trains Demucs and its port side by side: which models, and what they hear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, get_args

import numpy as np

from parity.cases import BY_NAME, Case, signals
from parity.core.backward import steps
from parity.core.backward.steps import Batch, Optimizer, Steps, Trained
from parity.core.capture.port import Engine
from parity.core.result import ParityError
from parity.demucs import SUBJECT
from parity.demucs.dropout import seeded_draws
from parity.run import make_port, make_reference

STEPS = 20


@dataclass(frozen=True)
class Row:
    """A model that is trained. `draws`: it draws in training, which a graph does by itself."""

    case: Case
    draws: bool = False
    note: str = ""


def _changed(name: str, new: str, **config: Any) -> Case:
    case = BY_NAME[name]
    return replace(case, name=new, config={**case.config, **config})


ROWS = (
    Row(BY_NAME["demucs-dconv0"]),
    Row(BY_NAME["demucs-lstm"]),
    Row(BY_NAME["hdemucs-plain"]),
    Row(BY_NAME["htdemucs-plain"]),
    Row(BY_NAME["htdemucs-shorter"], note="14 samples: training knows no other length"),
    Row(
        _changed("hdemucs-spectrogram-masks", "hdemucs-end-iters", wiener_iters=0, end_iters=-1),
        note="masks in training, the Wiener filter otherwise",
    ),
    Row(BY_NAME["htdemucs-dropout"], draws=True, note="half of everything, by the same masks"),
    Row(BY_NAME["htdemucs-cape"], draws=True, note="positions moved at random"),
    Row(BY_NAME["htdemucs-random-shift"], draws=True),
)


def select(names: list[str]) -> list[Row]:
    """The rows of these names, or all."""
    known = {row.case.name: row for row in ROWS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ParityError(f"{', '.join(unknown)} is not trained. There are: {', '.join(known)}.")
    return [known[name] for name in names] or list(ROWS)


def batches(case: Case, count: int) -> list[Batch]:
    """As many batches of the case's signal and of stems that it has nothing to do with."""
    sources = len(case.config["sources"])
    batch, channels, length = case.shape
    stream = np.random.RandomState(case.seed)
    return [
        (
            signals.make(case.signal, case.shape, 100 + number).astype(np.float32),
            stream.uniform(-0.5, 0.5, (batch, sources, channels, length)).astype(np.float32),
        )
        for number in range(count)
    ]


@lru_cache(maxsize=4)
def reference(case: Case, optimizer: Optimizer, count: int) -> tuple[Trained, Trained]:
    """The reference's run in float64 and in float32, on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        wide, narrow = (
            steps.train_reference(
                make_reference(case), batches(case, count), optimizer, dtype, seeded_draws
            )
            for dtype in ("float64", "float32")
        )
    finally:
        torch.set_num_threads(threads)
    return wide, narrow


def run(
    row: Row, optimizer: Optimizer, dtype: str, engine: Engine = "eager", count: int = STEPS
) -> Steps:
    """Train both sides, and compare every step.

    Raises:
        ParityError: a graph of a model that draws: it draws from TensorFlow.
    """
    case = row.case
    if row.draws and engine != "eager":
        raise ParityError(f"{case.name} draws in training: compared by --engine eager alone.")
    wide, narrow = reference(case, optimizer, count)
    port = make_port(case, dtype)
    heard = batches(case, count)
    found = steps.train_port(SUBJECT, port, heard, optimizer, engine, seeded_draws)
    left_out = steps.only_rounding(wide, narrow)
    return Steps(
        case.name,
        optimizer,
        dtype,
        engine,
        steps.compare_steps(wide, narrow, found, dtype, left_out),
        len(found.weights[0]),
        left_out,
    )


def run_all(
    rows: list[Row],
    optimizers: list[Optimizer],
    dtypes: list[str],
    engines: list[Engine],
    count: int,
) -> Iterator[Steps]:
    """All of these together; of models that draw, only what can be compared."""
    for row in rows:
        for optimizer in optimizers or get_args(Optimizer):
            for dtype in dtypes:
                for engine in engines:
                    if engine == "eager" or not row.draws:
                        yield run(row, optimizer, dtype, engine, count)
