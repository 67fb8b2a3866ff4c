"""Baselines, and results as text."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from parity.core import gate
from parity.core.result import ParityError, Record, Result
from parity.report import text
from tests.parity.test_report import record, result


def sample(*noise_ratios: float | None, engine: str = "") -> Result:
    layers = [record(f"encoder.{i}", noise_ratio=ratio) for i, ratio in enumerate(noise_ratios)]
    return result(*layers, case="c", environment={"engine": engine} if engine else {})


def test_no_regression() -> None:
    assert gate.regressions([sample(1.0)], gate.baseline_of([sample(1.0)])) == []
    assert gate.regressions([sample(1.9)], gate.baseline_of([sample(1.0)])) == []
    assert gate.regressions([sample(0.9)], gate.baseline_of([sample(0.1)])) == []
    assert gate.regressions([sample(None)], gate.baseline_of([sample(None)])) == []


def test_regressions() -> None:
    before = gate.baseline_of([sample(1.0, 1.0), sample(1.0, engine="xla")])
    failing = replace(sample(2.5), layers=(record(verdict="fail", noise_ratio=2.5),))
    assert gate.regressions([failing], before) == [
        "c float32 xla: in the baseline, but was not run",
        "c float32: fails",
        "c float32: 1 comparisons, were 2",
        "c float32: worst noise ratio 2.50, was 1.00",
    ]


@pytest.mark.parametrize("ratios", [(math.nan,), (math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0)])
def test_a_noise_ratio_that_is_no_number(ratios: tuple[float, ...]) -> None:
    lines = gate.regressions([sample(*ratios)], gate.baseline_of([sample(1.0)]))
    assert lines == ["c float32: worst noise ratio inf, was 1.00"]
    assert "isolated inf;" in text.summary(sample(*ratios))


def test_engines_are_kept_apart() -> None:
    results = [sample(1.0), sample(3.0, engine="graph"), sample(5.0, engine="xla")]
    assert {
        name: kept["worst_noise_ratio"] for name, kept in gate.baseline_of(results).items()
    } == {
        "c float32": 1.0,
        "c float32 graph": 3.0,
        "c float32 xla": 5.0,
    }
    assert gate.baseline_of([sample(1.0, engine="eager")]) == gate.baseline_of([sample(1.0)])


def test_nothing_is_no_result() -> None:
    with pytest.raises(ParityError, match="no results"):
        gate.baseline_of([])
    with pytest.raises(ParityError, match="no results"):
        gate.regressions([], {})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"c float32": {}}', '{"c float32": 1}'])
def test_what_is_no_baseline(tmp_path: Path, content: str) -> None:
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(ParityError, match=r"b\.json is no baseline .* --update"):
        gate.read_baseline(tmp_path / "b.json")


def shared(*failed: tuple[str, int, str]) -> Result:
    """A GLU that is called five times, ten steps apart; `failed` are path, call, mode."""
    places = [
        ("glu" if i % 10 == 0 else f"conv.{i}", i // 10 if i % 10 == 0 else 0) for i in range(50)
    ]
    layers: list[Record] = []
    for path, call in places:
        for mode in ("isolated", "cumulative"):
            wrong = (path, call, mode) in failed
            layers.append(
                record(
                    path, call=call, mode=mode, verdict="fail" if wrong else "pass",
                    reason=f"{mode} {call}" if wrong else "", source=f"demucs.py:{len(layers)}",
                )
            )  # fmt: skip
    return result(*layers)


def shown(found: Result) -> list[str]:
    return [line.split("[")[0].split()[-1] for line in text.details(found).splitlines()[4:]]


def test_surroundings_of_a_later_call() -> None:
    found = shared(("glu", 3, "isolated"), ("glu", 4, "isolated"))
    lines = text.details(found).splitlines()
    assert lines[1] == "first divergence: glu (Conv1d), demucs.py:60"
    assert lines[2] == "  isolated, call 3, output 0: isolated 3"
    around = ["conv.27", "conv.28", "conv.29", "glu", "conv.31", "conv.32", "conv.33"]
    assert shown(found) == [path for path in around for _ in range(2)]


def test_the_first_failure_is_an_isolated_one() -> None:
    """At the same path, too: an earlier call that fails in the real pass only is not it."""
    found = shared(("glu", 1, "cumulative"), ("conv.12", 0, "cumulative"), ("glu", 3, "isolated"))
    assert found.first_divergence == "glu"
    assert "  isolated, call 3, output 0: isolated 3" in text.details(found).splitlines()
    found = shared(("glu", 1, "cumulative"), ("conv.12", 0, "cumulative"))
    assert "  cumulative, call 1, output 0: cumulative 1" in text.details(found).splitlines()
    assert shown(found)[6] == "glu"


def test_a_parameter() -> None:
    key = "encoder.0.0.bias"
    wrong = record(key, kind="parameter", verdict="fail", source="", module_class="")
    found = result(wrong, *shared().layers)
    assert f"first divergence: {key} (parameter), no source line" in text.details(found)
    assert shown(found) == [key]
