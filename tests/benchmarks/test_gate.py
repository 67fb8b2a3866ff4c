"""A slowdown counts when it is larger than the noise that the same job measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.gate import ROOT, compare_commits, rule, runner, trees
from benchmarks.timing import WrongResult

ROUNDS = 15


def _verdict(factor: float, noise: float, seed: int = 0) -> rule.Verdict:
    generator = np.random.default_rng(seed)
    base, again, head = generator.normal(1.0, noise, (3, ROUNDS)).clip(0.5, 2)
    return rule.judge(base, again, head * factor)


@pytest.mark.parametrize("seed", range(10))
def test_a_slowdown_beyond_noise_counts(seed: int) -> None:
    assert _verdict(1.1, 0.01, seed).slower
    assert _verdict(1.6, 0.1, seed).slower


@pytest.mark.parametrize("seed", range(10))
def test_noise_does_not(seed: int) -> None:
    assert not _verdict(1.0, 0.0, seed).slower
    assert not _verdict(1.0, 0.05, seed).slower
    assert not _verdict(1.05, 0.2, seed).slower
    assert not _verdict(0.7, 0.05, seed).slower


def test_a_quiet_machine_is_not_believed_below_two_percent() -> None:
    assert not _verdict(1.015, 0.0).slower
    assert _verdict(1.03, 0.0).slower


def test_the_verdict_says_what_it_is_made_of() -> None:
    words = str(_verdict(1.5, 0.0))
    assert words == (
        "slower: HEAD/BASE 1.500 (1.500 to 1.500), BASE/BASE 1.000 (1.000 to 1.000), noise 2.0%"
    )


def test_a_commit_that_is_not_there() -> None:
    with pytest.raises(SystemExit, match="git worktree add"), trees("no-such-commit"):
        pytest.fail("it is there")


def test_a_case_that_is_not_there() -> None:
    with pytest.raises(SystemExit, match=r"-k 'nothing': expected part of one of htdemucs, "):
        compare_commits("HEAD", "HEAD", 1, "nothing")


class _Fake:
    def __init__(self, stems: np.ndarray, log: list[str], name: str) -> None:
        self.stems, self._log, self._name = stems, log, name

    def run(self) -> float:
        self._log.append(self._name)
        return 1.0


def _fakes(log: list[str], **stems: float) -> dict[str, runner.Runner]:
    made = {name: _Fake(np.full(4, value, np.float32), log, name) for name, value in stems.items()}
    return made  # type: ignore[return-value]


def test_sides_take_turns() -> None:
    log: list[str] = []
    times = runner.interleaved(
        _fakes(log, base=1, again=1, head=1), rounds=2, measure=lambda side: side.run()
    )
    assert log == ["base", "again", "head", "again", "head", "base"]
    assert times == {"base": [1, 1], "again": [1, 1], "head": [1, 1]}


def test_a_faster_wrong_result_is_refused() -> None:
    log: list[str] = []
    with pytest.raises(WrongResult, match=r"head: stems: .*not timed"):
        runner.interleaved(
            _fakes(log, base=1, again=1, head=1.1), rounds=2, measure=lambda side: side.run()
        )
    assert log == []


def test_the_worker_is_a_file_of_this_checkout() -> None:
    assert runner.WORKER.is_file()
    assert Path(runner.WORKER).is_relative_to(ROOT)
