"""Hunts mutants: each runs in what hears its function until something fails, or survives it all."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from typing import Any, Literal

from parity.core.guards.mutants import Mutant, code_of, live_function

Judge = Callable[[str], str]  # the name of a check -> where it fails, "" where it passes
Fate = Literal["killed", "crashed", "endless", "survived"]

SECONDS = 120  # that one check may take; a mutant that loops for ever is endless
SLOWER = 10  # times as long as without the mutant, at least
LEAST = 10.0
LONGEST = 300.0  # of all checks together, as they take without the mutant: what is left survives


@dataclass(frozen=True)
class Heard:
    """What a check runs of the port, and how long it takes.

    Attributes:
        check: its name: the first word says of what, the rest which kind of check it is.
        seconds: how long it takes while it is listened to.
        lines: of each file of the port, those that it runs.
    """

    check: str
    seconds: float
    lines: Mapping[str, frozenset[int]]

    @property
    def kind(self) -> str:
        """What kind of check it is."""
        return self.check.partition(" ")[2]

    def hears(self, file: str, first: int, last: int) -> bool:
        """Whether it runs a line from `first` to `last` of a file."""
        return not self.lines.get(file, frozenset()).isdisjoint(range(first, last + 1))


@dataclass(frozen=True)
class Caught:
    """What became of a mutant.

    Attributes:
        mutant: which.
        fate: "killed" by a comparison, "crashed", "endless" by the time limit, or "survived".
        check: what it was found by; the number of checks that it survived.
        where: the first divergence or the exception.
    """

    mutant: Mutant
    fate: Fate
    check: str
    where: str


def heard(judge: Judge, check: str, files: frozenset[str]) -> Heard:
    """Run a check, and note the lines of `files` that it runs."""
    lines: dict[str, set[int]] = {file: set() for file in files}

    def called(frame: Any, event: str, argument: object) -> Any:
        return ran if frame.f_code.co_filename in files else None

    def ran(frame: Any, event: str, argument: object) -> Any:
        if event == "line":
            lines[frame.f_code.co_filename].add(frame.f_lineno)
        return ran

    _forget()
    start, before = time.perf_counter(), sys.gettrace()
    sys.settrace(called)
    try:
        judge(check)
    finally:
        sys.settrace(before)
    found = {file: frozenset(numbers) for file, numbers in lines.items() if numbers}
    return Heard(check, time.perf_counter() - start, found)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The function with the change in place, and nothing of it remembered afterwards."""
    function = live_function(mutant.module, mutant.function)
    assert function is not None
    sound, changed = function.__code__, code_of(mutant)
    _forget()
    function.__code__ = changed
    # What AutoGraph has made, it calls as it is; anything else it would make anew from its source.
    function.autograph_info__ = {}  # type: ignore[attr-defined]
    try:
        yield
    finally:
        function.__code__ = sound
        del function.autograph_info__  # type: ignore[attr-defined]
        _forget()


def in_turns(checks: Sequence[Heard]) -> list[Heard]:
    """Checks as they are tried: the quick ones first, and every kind for the same time."""
    spent: dict[str, float] = {}
    tried: list[tuple[float, Heard]] = []
    for each in sorted(checks, key=lambda check: check.seconds):
        spent[each.kind] = spent.get(each.kind, 0.0) + each.seconds
        tried.append((spent[each.kind], each))
    return [each for _, each in sorted(tried, key=lambda pair: pair[0])]


def hearing(mutant: Mutant, checks: Sequence[Heard]) -> list[Heard]:
    """The checks that run a mutant's statement as they are tried: by turns of kind.

    First those that run what a condition guards: of an error's, the few that run into the error.
    """
    function = live_function(mutant.module, mutant.function)
    assert function is not None
    file = function.__code__.co_filename
    first: list[Heard] = []
    then: list[Heard] = []
    for each in checks:
        if each.hears(file, *mutant.lines):
            (first if each.hears(file, *mutant.body) else then).append(each)
    return in_turns(first) + in_turns(then)


def hunt(judge: Judge, mutant: Mutant, checks: Sequence[Heard]) -> Caught:
    """Run a mutant in the checks that run its statement until one fails."""
    spent = 0.0
    tried = hearing(mutant, checks)
    for number, each in enumerate(tried):
        spent += each.seconds
        if spent > LONGEST and number:
            return Caught(mutant, "survived", f"{number} of {len(tried)} checks", "")
        limit = max(LEAST, min(SECONDS, SLOWER * each.seconds))
        try:
            with planted(mutant), _limited(limit):
                where = judge(each.check)
        except _TooLong:
            return Caught(mutant, "endless", each.check, f"more than {limit:.0f} s")
        except Exception as error:  # whatever it is: the port does not run
            return Caught(mutant, "crashed", each.check, type(error).__name__)
        if where:
            return Caught(mutant, "killed", each.check, where)
    return Caught(mutant, "survived", f"{len(tried)} of {len(tried)} checks", "")


class _TooLong(BaseException):
    """The time is up. No `except Exception` of the port takes it."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


_modules: tuple[str, ...] = ()


def _forget() -> None:
    """Clear what the port's functions remember: results, and graphs that were traced."""
    for name in _modules:
        module = import_module(name)
        for key, each in list(vars(module).items()):
            if hasattr(each, "cache_clear"):
                each.cache_clear()
            if hasattr(each, "get_concrete_function"):
                setattr(module, key, each._clone(each.python_function))


def start(modules: Sequence[str]) -> None:
    """Get a process ready: the port's modules, whose memory is cleared, and one thread."""
    global _modules
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.debugging.disable_traceback_filtering()
    _modules = tuple(modules)
    warnings.simplefilter("ignore")  # of numbers that a mutant makes
    for module in modules:
        import_module(module)


def listen(
    judge: Judge, checks: Sequence[str], modules: Sequence[str], jobs: int = 0
) -> Iterator[Heard]:
    """What each check hears, as the checks end, in several processes."""
    files = frozenset(str(import_module(module).__file__) for module in modules)
    with _pool(modules, jobs) as pool:
        futures = [pool.submit(heard, judge, check, files) for check in checks]
        for future in as_completed(futures):
            yield future.result()


def hunt_all(
    judge: Judge,
    mutants: Sequence[Mutant],
    checks: Sequence[Heard],
    modules: Sequence[str],
    jobs: int = 0,
) -> Iterator[Caught]:
    """What becomes of mutants, as it is known, in several processes."""
    with _pool(modules, jobs) as pool:
        futures = [pool.submit(hunt, judge, mutant, checks) for mutant in mutants]
        for future in as_completed(futures):
            yield future.result()


def _pool(modules: Sequence[str], jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        jobs or min(8, os.cpu_count() or 1), get_context("spawn"), start, (tuple(modules),)
    )


def by_class(caught: Sequence[Caught]) -> Mapping[str, Mapping[str, int]]:
    """How many mutants of each class had each fate."""
    table: dict[str, dict[str, int]] = {}
    for each in caught:
        row = table.setdefault(each.mutant.kind, {})
        row[each.fate] = row.get(each.fate, 0) + 1
    return table
