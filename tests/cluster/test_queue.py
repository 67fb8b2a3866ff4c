"""The queue, with workers that only say what happens."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray

from demucs_tf.cluster import manifest as module
from demucs_tf.cluster.connect import Node
from demucs_tf.cluster.job import Job, Row
from demucs_tf.cluster.manifest import DONE, FAILED, Entry, Manifest
from demucs_tf.cluster.pool import Pool, Slot
from demucs_tf.cluster.queue import LOSSES, TRIES, Outcome, Task, work_off
from demucs_tf.cluster.settings import ClusterSettings
from demucs_tf.cluster.worker import Result

Act = Callable[[Task], "Outcome"]


def done(task: Task, host: str = "one") -> Outcome:
    entry = Entry(track=task.row.address, status=DONE, node=host, length=200.0)
    return Outcome(task, host, Result(entry))


def failed(task: Task, *, of_the_place: bool, stopped: bool = False) -> Outcome:
    entry = Entry(track=task.row.address, status=FAILED, error=f"{task.row.address}: no")
    return Outcome(task, "one", Result(entry, of_the_place, stopped))


class Workers:
    """Two that do what `act` says, in turn."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.tasks: list[Task] = []
        self.given: list[str] = []
        self.rested: list[str] = []

    @property
    def busy(self) -> int:
        return len(self.tasks)

    def update(self) -> None: ...

    def idle(self) -> list[int]:
        return list(range(2 - len(self.tasks)))

    def give(self, slot: int, task: Task) -> None:
        self.tasks.append(task)
        self.given.append(task.row.address)

    def wait(self, seconds: float) -> list[Outcome]:
        return [self.act(self.tasks.pop(0))]

    def rest(self, host: str) -> None:
        self.rested.append(host)


def work(count: int, act: Act) -> tuple[dict[str, Entry], Workers, list[str]]:
    workers, said = Workers(act), list[str]()
    entries: dict[str, Entry] = {}
    rows = [Row(str(number)) for number in range(count)]
    work_off(rows, workers, lambda new: entries.update({e.track: e for e in new}), said.append)
    assert sorted(entries) == sorted(row.address for row in rows), "each once"
    return entries, workers, said


def test_each_track_is_done_once() -> None:
    entries, workers, said = work(50, done)
    assert {entry.status for entry in entries.values()} == {DONE}
    assert Counter(workers.given) == Counter(list(entries))
    assert {entry.attempt for entry in entries.values()} == {1}
    assert said == []


def test_a_track_that_kills_its_worker_is_tried_three_times_and_the_others_go_on() -> None:
    def act(task: Task) -> Outcome:
        return Outcome(task, "one", died="SIGSEGV") if task.row.address == "3" else done(task)

    entries, workers, said = work(10, act)
    assert Counter(workers.given)["3"] == TRIES == 3
    assert entries["3"].status == FAILED
    assert entries["3"].attempt == 3
    assert entries["3"].error == "3: its worker died 3 times, at last: SIGSEGV"
    assert [entry.status for entry in entries.values()].count(DONE) == 9
    assert len(said) == 2
    assert "3: its worker died on one, attempt 1: SIGSEGV" in said[0]


def test_a_lost_node_is_not_the_fault_of_its_track() -> None:
    """It is tried again as often as nodes are lost, but not for ever."""

    def act(task: Task) -> Outcome:
        lost = task.row.address == "never" or (task.row.address == "1" and task.losses < 7)
        return Outcome(task, "one", died="gone", with_node=True) if lost else done(task)

    entries, workers, _ = work(4, act)
    assert entries["1"].status == DONE
    assert entries["1"].attempt == 8
    assert Counter(workers.given) == {"0": 1, "1": 8, "2": 1, "3": 1}
    entries, workers, _ = work(1, lambda task: Outcome(task, "x", died="gone", with_node=True))
    assert entries["0"].status == FAILED
    assert len(workers.given) == LOSSES


def test_what_a_place_lacks_is_tried_elsewhere_and_the_place_rests() -> None:
    """A full disk; a bad file in contrast is bad everywhere."""

    def act(task: Task) -> Outcome:
        if task.row.address == "bad":
            return failed(task, of_the_place=False)
        return failed(task, of_the_place=True) if task.tries < 1 else done(task)

    entries, workers, said = work(2, act)
    assert {entry.status for entry in entries.values()} == {DONE}
    assert workers.rested == ["one", "one"]
    assert "0: no (on one, attempt 1)" in said[0]
    entries, workers, _ = work(1, lambda task: failed(task, of_the_place=False))
    assert (entries["0"].status, entries["0"].error) == (FAILED, "0: no")
    assert len(workers.given) == 1
    assert workers.rested == []


def test_neither_memory_nor_files_grow_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver and the manifest, over 450 rows; docs/scale.md has 100,000."""
    monkeypatch.setattr(module, "PART", 30)
    manifest = Manifest(str(tmp_path / "m"))
    held: list[int] = []
    most = 0
    entry = replace(done(Task(Row("x"))).result.entry, settings="x" * 300)  # type: ignore[union-attr]

    def finished(entries: list[Entry]) -> None:
        nonlocal most
        manifest.add([replace(entry, track=each.track) for each in entries])
        if int(entries[-1].track) % 75 == 74:
            most = max(most, len(list((tmp_path / "m").iterdir())))
            workers.given.clear()
            gc.collect()
            held.append(len(gc.get_objects()))

    def rows() -> Iterator[Row]:
        for number in range(450):
            yield Row(str(number))

    workers = Workers(done)
    work_off(rows(), workers, finished, print)
    assert len(held) == 6
    assert max(held[1:]) - min(held[1:]) < 100
    assert most <= 450 / 30 + 30
    assert len(list(manifest.entries())) == 450


# The workers themselves, without Ray's processes.

NODE = Node("0", "here", {"CPU": 4})


@pytest.mark.parametrize(("limit", "ended"), [(None, []), (1e9, []), (0.01, ["hung"])])
def test_a_worker_that_hangs_is_ended(
    limit: float | None, ended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What works at a track for longer than it may; one that starts has all the time."""
    killed: list[Any] = []
    monkeypatch.setattr(ray, "kill", killed.append)
    monkeypatch.setattr(ray, "wait", lambda references, **_: ([], references))
    settings = ClusterSettings(ray_track_timeout=limit)
    pool = Pool(Job(name="tiny", out="out"), settings, print, {})
    task = Task(Row("song.wav"))
    pool._pending = {
        "hung": Slot("hung", NODE, ready=True, task=task, since=time.monotonic() - 1),
        "starting": Slot("starting", NODE),
    }
    outcomes = pool.wait(0)
    assert killed == ended
    assert [outcome.task for outcome in outcomes] == [task] * len(ended)
    assert "starting" in pool._pending
    assert pool.busy == 1 - len(ended)
    for outcome in outcomes:
        assert (outcome.result, outcome.with_node, outcome.host) == (None, False, "here")
        assert outcome.died == "not done within the 0.01 s of --ray-track-timeout"


def test_a_limit_of_no_time_is_none() -> None:
    with pytest.raises(ValueError, match="ray_track_timeout must be above 0 seconds, got 0"):
        ClusterSettings(ray_track_timeout=0)
