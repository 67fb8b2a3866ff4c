"""What tests wait for, computed ahead in as many processes as there are cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from parity.core.capture.port import Engine
from parity.core.checking import Modes
from parity.core.mutate import Outcome
from parity.core.result import Result
from parity.exports.any_length import Way

Job = tuple[Any, ...]  # a function of this module and its arguments


def case_result(name: str, dtype: str, live: bool) -> Result:
    """The result of a case."""
    from parity.cases import BY_NAME
    from parity.run import run_case

    return run_case(BY_NAME[name], dtype, live=live)


def control_path(live: bool) -> str:
    """Where the negative control was spoiled and found."""
    from parity.run import control

    return control(live=live)


def backward_result(name: str, dtype: str, engine: Engine) -> Result:
    """The result of a case's gradients, against its golden; of the whole model in a graph."""
    from parity.backward import BACKWARD
    from parity.cases import BY_NAME

    mode: Modes = "both" if engine == "eager" else "cumulative"
    return BACKWARD.run_case(BY_NAME[name], dtype, mode=mode, engine=engine)


def engine_result(name: str, engine: Engine) -> Result:
    """The result of a case in a graph or under XLA."""
    from parity.cases import BY_NAME
    from parity.run import run_case

    return run_case(BY_NAME[name], "float32", mode="cumulative", engine=engine)


def watched_and_not(name: str, dtype: str) -> list[bytes]:
    """What a case's port gives before it is watched, while it is, and afterwards."""
    import numpy as np

    from parity.cases import BY_NAME
    from parity.core.capture.port import cumulative
    from parity.core.seeding import seeded_random
    from parity.demucs import SUBJECT
    from parity.run import make_port, stored_expected

    model, expected = make_port(BY_NAME[name], dtype), stored_expected(BY_NAME[name])

    def unwatched() -> bytes:
        with seeded_random():
            return np.asarray(model(expected.mix.astype(dtype))).tobytes()

    before = unwatched()
    (stems,) = cumulative(SUBJECT, model, expected)["", 0]
    return [before, stems.tobytes(), unwatched()]


def export_cells(name: str, files_alone: bool) -> list[Any]:
    """The cells of a case in the table of exports."""
    from parity.cases import BY_NAME
    from parity.exports.columns import COLUMNS
    from parity.exports.table import cells

    columns = [each for each in COLUMNS if each.format or not files_alone]
    return list(cells(BY_NAME[name], columns))


def unknown_length(name: str, way: Way) -> list[str]:
    """What one trace for every length and batch gets wrong."""
    from parity.exports.any_length import problems

    return problems(name, way)


def fault_outcome(name: str) -> Outcome:
    """What becomes of a fault."""
    from parity.core.mutate import inject
    from parity.faults import FAULTS, run

    return inject(next(fault for fault in FAULTS if fault.name == name), run)


class Pool:
    """Starts jobs, each once, and hands out what they gave."""

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None
        self._futures: dict[Job, Future[Any]] = {}

    def open(self) -> ProcessPoolExecutor:
        """Start the processes, once; they import TensorFlow while tests are collected."""
        if self._executor is None:
            processes = min(8, os.cpu_count() or 1)
            self._executor = ProcessPoolExecutor(
                processes, multiprocessing.get_context("spawn"), initializer=_quicken
            )
            for _ in range(processes):  # each is started by a job
                self._executor.submit(os.getpid)
        return self._executor

    def start(self, jobs: Sequence[Job]) -> None:
        """Start jobs in this order."""
        for job in jobs:
            self._future(job)

    def result(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Wait for a job; it is started if it was not."""
        return self._future((function, *arguments)).result()

    def results(self, function: Callable[..., Any]) -> list[Any]:
        """Everything that a function gave so far."""
        done = [f for job, f in self._futures.items() if job[0] is function and f.done()]
        return [future.result() for future in done if not future.exception()]

    def close(self) -> None:
        """Forget what has not been started."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def _future(self, job: Job) -> Future[Any]:
        if job not in self._futures:
            self._futures[job] = self.open().submit(*job)
        return self._futures[job]


def _quicken() -> None:
    """One thread each, and nothing hidden in a failure, which makes eager operations quicker.

    What importing TensorFlow has made is never searched for garbage.
    """
    import keras
    import tensorflow as tf

    from demucs_tf.utils.memory import leave_all

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.debugging.disable_traceback_filtering()
    keras.config.disable_traceback_filtering()
    leave_all()
