"""The one way to time: verify each way, then let all take turns in one job.

Machines are noisy and change their clock, so seconds of two jobs can't be held against each other.
Here each round runs every way once, and a ratio is taken within its round.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from parity.core.compare import Array, compare

Run = Callable[[], "Outcome | Array"]


class WrongResult(AssertionError):
    """A way gives something else than the reference, so its speed means nothing."""


class LeftOut(Exception):
    """A way can't run here; the message says why, and the report repeats it."""


@dataclass
class Outcome:
    """What one run gave.

    `figures` are measured besides the wall clock, or instead of it, if "seconds" is among them.
    """

    arrays: dict[str, Array]
    figures: dict[str, float] = field(default_factory=dict)


@dataclass
class Job:
    """The ways of one case.

    Args:
        ways: what makes each ready to run, by name; it may raise LeftOut.
        expected: what each has to give, by the names of the arrays; None: what `against` gives.
        against: the way that ratios are over.
        flop: floating-point operations of one run, or None.
        audio: seconds of audio that one run works on, or None.
        points: where a way stands on the axis of a curve.
        layouts: for a way whose output has its axes in another order, what puts them right; it is
            applied when the output is verified, and not timed.
        bounds: for a way that is known to be further from what is expected, its own bound.
    """

    ways: dict[str, Callable[[], Run]]
    against: str
    expected: dict[str, Array] | None = None
    flop: float | None = None
    audio: float | None = None
    points: dict[str, float] = field(default_factory=dict)
    layouts: dict[str, Callable[[Array], Array]] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)


def measure(benchmark: Any, job: Job, tolerance: float, rounds: int) -> dict[str, Any]:
    """Verify and time.

    Args:
        benchmark: pytest-benchmark's fixture, which times the first way that can run.
        job: what runs.
        tolerance: bound on the relative L2 error of each way that has no bound of its own.
        rounds: how often each way runs after its verification, which warms up as well.

    Returns:
        what is also put into the record: `rounds` has, for each round, each way's figures.

    Raises:
        WrongResult: before anything is timed.
    """
    record: dict[str, Any] = {
        "against": job.against,
        "flop": job.flop,
        "audio": job.audio,
        "points": job.points,
        "left_out": {},
        "snr_db": {},
        "rounds": [],
    }
    runs = _ready(job, tolerance, record)
    if not runs:
        raise LeftOut(f"no way can run: {record['left_out']}")
    first, *others = runs
    current: dict[str, dict[str, float]] = {}

    def run_others() -> None:
        current.clear()
        for name in others:
            current[name] = timed(runs[name])

    def run_first() -> None:
        current[first] = timed(runs[first])
        record["rounds"].append(dict(current))

    benchmark.extra_info.update(record)
    benchmark.pedantic(run_first, setup=run_others, rounds=rounds, iterations=1)
    benchmark.extra_info.update(record)
    return record


def _ready(job: Job, tolerance: float, record: dict[str, Any]) -> dict[str, Run]:
    """The ways that can run and give what is expected."""
    expected, runs = job.expected, {}
    order = sorted(job.ways, key=lambda name: name != job.against)
    for name in order:
        try:
            run = job.ways[name]()
            found = _outcome(run()).arrays
        except LeftOut as reason:
            record["left_out"][name] = str(reason)
            continue
        if name in job.layouts:
            found = {key: job.layouts[name](array) for key, array in found.items()}
        expected = found if expected is None else expected
        bound = job.bounds.get(name, tolerance)
        record["snr_db"][name] = verify(name, found, expected, bound)
        runs[name] = run
    return {name: runs[name] for name in job.ways if name in runs}


def verify(name: str, found: dict[str, Array], wanted: dict[str, Array], tolerance: float) -> float:
    """The SNR in dB of the worst array.

    Raises:
        WrongResult: an array is missing, too many, or differs by more than `tolerance`.
    """
    if sorted(found) != sorted(wanted) or not wanted:
        raise WrongResult(f"{name}: expected {sorted(wanted)}, found {sorted(found)}: not timed.")
    worst = float("inf")
    for key, array in wanted.items():
        difference = compare(found[key], array, tolerance)
        if not difference.passed:
            raise WrongResult(f"{name}: {key}: {difference.reason}: not timed.")
        snr = difference.snr_db
        worst = min(worst, float("inf") if snr is None else snr)
    return worst


def timed(run: Run) -> dict[str, float]:
    """Run once: the wall clock, and the figures that the run has of its own."""
    start = time.perf_counter()
    outcome = _outcome(run())
    return {"seconds": time.perf_counter() - start, **outcome.figures}


def _outcome(result: Outcome | Array) -> Outcome:
    return result if isinstance(result, Outcome) else Outcome({"output": result})


@contextmanager
def within(seconds: int, what: str) -> Iterator[None]:
    """Give up after a time.

    Raises:
        LeftOut: it took longer.
    """

    def stop(*_: Any) -> None:
        raise LeftOut(f"{what} takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
