"""Nothing wrong is timed; what is right takes turns."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
import pytest

from benchmarks.timing import Job, LeftOut, Outcome, Run, WrongResult, measure, within
from tests.benchmarks.fakes import Benchmark

RIGHT = np.linspace(-1, 1, 100, dtype=np.float32)


class Ways:
    """Ways to get an array, and the order in which they ran."""

    def __init__(self, **arrays: Any) -> None:
        self.arrays = arrays
        self.ran: list[str] = []

    def job(self, **more: Any) -> Job:
        return Job({name: partial(self._ready, name) for name in self.arrays}, "torch", **more)

    def _ready(self, name: str) -> Run:
        if isinstance(self.arrays[name], str):
            raise LeftOut(self.arrays[name])

        def run() -> Any:
            self.ran.append(name)
            return self.arrays[name]

        return run


def test_ways_take_turns_after_each_was_verified() -> None:
    ways, benchmark = Ways(graph=RIGHT, eager=RIGHT, torch=RIGHT), Benchmark()
    record = measure(benchmark, ways.job(), 1e-5, rounds=2)
    assert ways.ran[:3] == ["torch", "graph", "eager"]  # verified
    assert ways.ran[3:] == ["eager", "torch", "graph"] * 2
    assert [sorted(each) for each in record["rounds"]] == [["eager", "graph", "torch"]] * 2
    assert all(figures["seconds"] >= 0 for figures in record["rounds"][0].values())
    assert benchmark.extra_info["rounds"] == record["rounds"]
    assert benchmark.timed == 2


WRONG = {
    "noise": RIGHT + np.float32(1e-3),
    "NaN": np.append(RIGHT[:-1], np.float32("nan")),
    "shape": RIGHT[:-1],
    "type": RIGHT.astype(np.float64),
    "silence": np.zeros_like(RIGHT),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_result_is_refused_and_not_timed(wrong: Any) -> None:
    ways, benchmark = Ways(graph=wrong, torch=RIGHT), Benchmark()
    with pytest.raises(WrongResult, match=r"graph: output: .*not timed"):
        measure(benchmark, ways.job(), 1e-5, rounds=3)
    assert benchmark.timed == 0
    assert benchmark.extra_info == {}
    assert ways.ran == ["torch", "graph"]


def test_a_missing_output_is_refused() -> None:
    found = Outcome({"drums.wav": RIGHT})
    wanted = Outcome({"drums.wav": RIGHT, "bass.wav": RIGHT})
    with pytest.raises(WrongResult, match=r"expected \['bass.wav', 'drums.wav'\], found"):
        measure(Benchmark(), Ways(graph=found, torch=wanted).job(), 1e-5, rounds=1)


def test_what_is_left_out_says_why() -> None:
    ways = Ways(graph=RIGHT, openvino="it is not there", torch=RIGHT)
    record = measure(Benchmark(), ways.job(), 1e-5, rounds=1)
    assert record["left_out"] == {"openvino": "it is not there"}
    assert sorted(record["rounds"][0]) == ["graph", "torch"]


def test_nothing_is_timed_where_nothing_runs() -> None:
    with pytest.raises(LeftOut, match=r"no way can run: \{'torch': 'no'\}"):
        measure(Benchmark(), Ways(torch="no").job(), 1e-5, rounds=1)


def test_a_layout_is_put_right_for_the_verification() -> None:
    square = RIGHT.reshape(10, 10)
    job = Ways(graph=np.ascontiguousarray(square.T), torch=square).job(
        layouts={"graph": lambda array: np.ascontiguousarray(array.T)}
    )
    assert measure(Benchmark(), job, 0.0, rounds=1)["snr_db"]["graph"] == float("inf")


def test_a_way_may_have_a_bound_of_its_own() -> None:
    ways = {"graph": RIGHT, "torch": RIGHT * 1.001}
    kept = Ways(**ways).job(expected={"output": RIGHT}, bounds={"torch": 1e-2})
    found = measure(Benchmark(), kept, 1e-5, rounds=1)["snr_db"]
    assert found == {"graph": float("inf"), "torch": pytest.approx(60, abs=0.1)}
    exchanged = Ways(**ways).job(expected={"output": RIGHT}, bounds={"graph": 1e-2})
    with pytest.raises(WrongResult, match=r"torch: output: .*not timed"):
        measure(Benchmark(), exchanged, 1e-5, rounds=1)


def test_own_figures_replace_the_wall_clock() -> None:
    outcome = Outcome({"output": RIGHT}, {"seconds": 7.0, "peak": 1e9})
    record = measure(Benchmark(), Ways(graph=outcome, torch=RIGHT).job(), 1e-5, rounds=1)
    assert record["rounds"][0]["graph"] == {"seconds": 7.0, "peak": 1e9}


def test_what_takes_too_long_is_left_out() -> None:
    with pytest.raises(LeftOut, match="compiling takes more than 1 s"), within(1, "compiling"):
        time.sleep(9)
