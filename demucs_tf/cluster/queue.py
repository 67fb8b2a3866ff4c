"""Who does which track: the queue that the driver holds, and what it does when something dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from demucs_tf.cluster.job import Row
from demucs_tf.cluster.manifest import FAILED, Entry
from demucs_tf.cluster.worker import Result

# A track that takes its worker with it, or fails for lack of something, is tried so often.
TRIES = 3
# One whose node is lost is not to blame, as long as this does not go on for ever.
LOSSES = 20
_WAIT = 1.0  # seconds


@dataclass(eq=False)
class Task:
    """A track, and what has happened to it."""

    row: Row
    tries: int = 0
    losses: int = 0

    @property
    def attempt(self) -> int:
        """Which it is, from 1."""
        return self.tries + self.losses + 1


@dataclass(frozen=True)
class Outcome:
    """The end of an attempt: a result, or a death.

    Attributes:
        task: what was tried.
        host: where.
        result: what the worker says; None: it died.
        died: of what.
        with_node: its node is gone, too, or can't be reached.
    """

    task: Task
    host: str
    result: Result | None = None
    died: str = ""
    with_node: bool = False


class Workers(Protocol):
    """What the queue asks of `demucs_tf.cluster.pool.Pool`."""

    @property
    def busy(self) -> int:
        """How many tasks are in work."""

    def update(self) -> None:
        """Start what is missing."""

    def idle(self) -> list[Any]:
        """Those that wait."""

    def give(self, slot: Any, task: Task) -> None:
        """Let one of them do a task."""

    def wait(self, seconds: float) -> list[Outcome]:
        """What became of tasks."""

    def rest(self, host: str) -> None:
        """Give nothing to a node for a while."""


def work_off(
    rows: Iterable[Row],
    workers: Workers,
    finished: Callable[[list[Entry]], object],
    say: Callable[[str], object],
) -> None:
    """Have every track done, each by the worker that is free first.

    Args:
        rows: the tracks; taken one by one as workers are free.
        workers: who does them.
        finished: called with entries, as they come; those of failed tracks too.
        say: called with a line that the user should see.
    """
    fresh: Iterator[Row] = iter(rows)
    again: deque[Task] = deque()
    exhausted = False
    while True:
        workers.update()
        for slot in workers.idle():
            row = None if exhausted else next(fresh, None)
            exhausted = row is None
            if row is None and not again:
                break
            workers.give(slot, again.popleft() if row is None else Task(row))
        if exhausted and not again and not workers.busy:
            return
        entries = []
        for outcome in workers.wait(_WAIT):
            entry = _decide(outcome, workers, say)
            if entry is None:
                again.append(outcome.task)
            else:
                entries.append(entry)
        if entries:
            finished(entries)


def _decide(outcome: Outcome, workers: Workers, say: Callable[[str], object]) -> Entry | None:
    """The entry of a track that is dealt with; None: it is to be tried again."""
    task, result = outcome.task, outcome.result
    attempt = task.attempt
    address = task.row.address
    if result is None:
        task.losses += outcome.with_node
        task.tries += not outcome.with_node
        if task.tries < TRIES and task.losses < LOSSES:
            what = "the node is lost" if outcome.with_node else "its worker died"
            say(f"warning: {address}: {what} on {outcome.host}, attempt {attempt}: {outcome.died}")
            return None
        error = f"{address}: its worker died {attempt} times, at last: {outcome.died}"
        return Entry(track=address, status=FAILED, node=outcome.host, attempt=attempt, error=error)
    if result.stopped or result.of_the_place:
        task.tries += 1
        if result.of_the_place:
            workers.rest(outcome.host)
        if task.tries < TRIES:
            say(f"warning: {result.entry.error} (on {outcome.host}, attempt {attempt})")
            return None
    return replace(result.entry, attempt=attempt)
