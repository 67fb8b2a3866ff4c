"""Baselines, and results as text."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.core.checking import plain
from parity.core.compare import compare
from parity.core.guards import gate
from parity.core.result import (
    Count,
    ParityError,
    Record,
    Result,
    read_json,
    worst_noise_ratio,
    write_json,
)
from parity.report import text
from parity.tests import test_layers
from tests.parity.conftest import Call
from tests.parity.test_report import record, result

ROOT = Path(__file__).parent.parent.parent


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
        "c float32: fails at encoder.0.conv; 1 comparisons, were 2; "
        "noise ratio of Conv1d, isolated 2.50, was 1.00",
        "not run: 1 of 2 in the baseline: c float32 xla",
    ]


def test_a_part_of_the_baseline() -> None:
    """Failures first and once; what was not run is counted, in one line."""
    names = [f"c{i}" for i in range(9)]
    before = gate.baseline_of([replace(sample(1.0, 1.0), case=name) for name in names])
    noisy = replace(sample(1.0, 3.0), case="c0")
    failing = replace(noisy, case="c1", layers=(record(verdict="fail"), *noisy.layers[1:]))
    lines = gate.regressions([noisy, failing], before)
    assert lines == [
        "c1 float32: fails at encoder.0.conv; "
        "noise ratio of Conv1d, isolated 3.00, was 1.00, at encoder.1",
        "c0 float32: noise ratio of Conv1d, isolated 3.00, was 1.00, at encoder.1",
        "not run: 7 of 9 in the baseline: c2 float32, c3 float32, c4 float32 and 4 more (-v)",
    ]
    full = gate.regressions([noisy, failing], before, names=None)
    assert full[:2] == lines[:2]
    assert full[2].endswith("c7 float32, c8 float32")


@pytest.mark.parametrize(
    ("ratios", "worst"),
    [((math.nan,), 0), ((math.nan, 1.0), 0), ((1.0, math.nan), 1), ((math.inf, 1.0), 0)],
)
def test_a_noise_ratio_that_is_no_number(ratios: tuple[float, ...], worst: int) -> None:
    lines = gate.regressions([sample(*ratios)], gate.baseline_of([sample(1.0)]))
    kind = "Conv1d, isolated"
    assert lines == [f"c float32: noise ratio of {kind} inf, was 1.00, at encoder.{worst}"]
    assert "isolated inf;" in text.summary(sample(*ratios))


def test_engines_are_kept_apart() -> None:
    results = [sample(1.0), sample(3.0, engine="graph"), sample(5.0, engine="xla")]
    kept = gate.baseline_of(results)["results"]
    assert {name: entry["kinds"] for name, entry in kept.items()} == {
        "c float32": {"Conv1d, isolated": 1.0},
        "c float32 graph": {"Conv1d, isolated": 3.0},
        "c float32 xla": {"Conv1d, isolated": 5.0},
    }
    assert gate.baseline_of([sample(1.0, engine="eager")]) == gate.baseline_of([sample(1.0)])


def test_several_runs_measure_the_spread() -> None:
    """The largest of each kind is kept, and noise below 1 is none."""
    runs = [[sample(2.0)], [sample(3.0)], [sample(2.5)]]
    before = gate.baseline_of(*runs)
    assert before["results"]["c float32"]["kinds"] == {"Conv1d, isolated": 3.0}
    assert before["spread"] == pytest.approx(1.5, abs=0.01)
    assert gate.regressions([sample(4.4)], before) == []
    assert gate.regressions([sample(4.6)], before) != []
    assert gate.baseline_of([sample(0.1)], [sample(0.9)])["spread"] == 1


def test_what_vanishes_is_a_regression() -> None:
    def made(*kinds: str, taps: int) -> Result:
        count = replace(result(record()).coverage, taps=Count(taps, 9))
        layers = tuple(record(f"x.{kind}", module_class=kind) for kind in kinds)
        return replace(result(*layers, case="c"), coverage=count)

    before = gate.baseline_of([made("GLU", "GELU", taps=9)])
    (line,) = gate.regressions([made("GLU", "GLU", taps=8)], before)
    assert "taps 8/9" in line
    assert "no longer compared: GELU, isolated" in line


def test_improvements_are_offered() -> None:
    before = gate.baseline_of([sample(9.0)])
    assert gate.improvements([sample(1.0)], before) == [
        "c float32: noise ratio of Conv1d, isolated 1.00, was 9.00"
    ]
    assert gate.improvements([sample(8.0)], before) == []
    assert gate.improvements([replace(sample(1.0), case="d")], before) == ["d float32: new"]


def test_lost_faults() -> None:
    found = {"killed": True, "placed": True, "dtype": "float64", "mode": "isolated"}
    names = [f"{name} float64 isolated" for name in ("gone", "missed", "seen")]
    before = {**gate.baseline_of([sample(1.0)]), "faults": names}
    outcomes = [{"fault": "seen", **found}, {"fault": "missed", **found, "placed": False}]
    assert gate.lost_faults(outcomes, before) == [
        "fault gone float64 isolated: is gone",
        "fault missed float64 isolated: is no longer found where it sits",
    ]
    assert gate.lost_faults(outcomes, gate.baseline_of([sample(1.0)])) == []


def test_the_command(tmp_path: Path, call: Call) -> None:
    """Update, pass, fail, and the summary of a pull request."""
    good, bad, base = (tmp_path / name for name in ("good.json", "bad.json", "base.json"))
    write_json(good, [sample(1.0)])
    failing = record(verdict="fail", noise_ratio=50.0)
    write_json(bad, [replace(sample(1.0), layers=(failing,), fingerprint="A gain of 2.")])
    mutation = tmp_path / "mutation.json"
    outcome = {"fault": "f", "dtype": "float32", "mode": "isolated", "killed": True, "placed": True}
    mutation.write_text(json.dumps([outcome]))
    call("gate", good, good, "--baseline", base, "--update", "--mutation", mutation)
    assert "no regression" in call("gate", good, "--baseline", base)[0]
    mutation.write_text("[]")
    out, _ = call(
        "gate", bad, "--baseline", base, "--markdown", tmp_path / "summary.md",
        "--mutation", mutation, status=1,
    )  # fmt: skip
    assert "fails at encoder.0.conv" in out
    assert "(A gain of 2.)" in out
    assert "fault f float32 isolated: is gone" in out
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("### Parity: 2 behind the baseline\n")
    assert "- c float32: fails at encoder.0.conv" in summary
    mutation.write_text("{}[")
    _, err = call("gate", good, "--baseline", base, "--mutation", mutation, status=2)
    assert "no result of `python -m parity mutate --json`" in err
    for results in ([good, bad], []):
        _, err = call("gate", *results, "--baseline", base, status=2)
        assert "one RESULT.json" in err


def test_faults_alone_are_added(tmp_path: Path, call: Call) -> None:
    good, base, mutation = (tmp_path / name for name in ("good.json", "base.json", "faults.json"))
    write_json(good, [sample(1.0)])
    call("gate", good, "--baseline", base, "--update")
    before = gate.read_baseline(base)
    found = {"fault": "f", "dtype": "float32", "mode": "isolated", "killed": True, "placed": True}
    mutation.write_text(json.dumps([found, {**found, "fault": "g", "placed": False}]))
    call("gate", "--mutation", mutation, "--baseline", base, "--update", "--keep")
    assert gate.read_baseline(base) == {**before, "faults": ["f float32 isolated"]}
    _, err = call("gate", "--mutation", mutation, "--baseline", base, "--update", status=2)
    assert "no results to hold" in err


def test_nothing_is_no_result() -> None:
    with pytest.raises(ParityError, match="no results"):
        gate.baseline_of([])
    with pytest.raises(ParityError, match="no results"):
        gate.regressions([], gate.baseline_of([sample(1.0)]))


ENTRY = (
    '{"schema": 2, "spread": 1.5, "results": {"c float32": {"verdict": "pass", "comparisons": 1, '
    '"coverage": "a 1/1, b 1/1, c 1/1, d 1/1, e 1/1", "kinds": {"GLU, isolated": %s}}}}'
)


def test_an_entry_is_a_baseline(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(ENTRY % "1")
    assert gate.read_baseline(tmp_path / "b.json")["spread"] == 1.5


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", '{"schema": 1}', '{"schema": 2, "spread": 1, "results": {}}', "[" * 100_000,
        ENTRY % '"much"', ENTRY % "[]", ENTRY % "null", ENTRY % "1" + "]",
        (ENTRY % "1").replace("1,", '"1",'), (ENTRY % "1").replace("e 1/1", "e"),
        (ENTRY % "1").replace('"pass"', "{}"),
    ],
)  # fmt: skip
def test_what_is_no_baseline(tmp_path: Path, content: str) -> None:
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(ParityError, match=r"b\.json is no baseline .* --update"):
        gate.read_baseline(tmp_path / "b.json")


def _bent(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Bend the first result of a file, or its first record."""

    def bend(path: Path) -> None:
        content = json.loads(path.read_text())
        change(content["results"][0])
        path.write_text(json.dumps(content))

    return bend


def _instead(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _record(**changes: object) -> Callable[[Path], None]:
    return _bent(lambda result: result["layers"][0].update(changes))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda path: path.write_text("{"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "deep objects": lambda path: path.write_text('{"a":' * 100_000),
    "a list": lambda path: path.write_text("[]"),
    "another schema": lambda path: path.write_text('{"schema": [[]], "results": []}'),
    "results are a number": lambda path: path.write_text('{"schema": 1, "results": 1}'),
    "a pipe": lambda path: _instead(path, os.mkfifo),
    "a folder": lambda path: _instead(path, Path.mkdir),
    "a device": lambda path: _instead(path, lambda p: p.symlink_to("/dev/zero")),
    "case": _bent(lambda result: result.update(case=["c"])),
    "layers": _bent(lambda result: result.update(layers={"a": 1})),
    "environment": _bent(lambda result: result.update(environment=[])),
    "count": _bent(lambda result: result["coverage"]["taps"].update(total="7")),
    "missing": _bent(lambda result: result["coverage"].update(missing=[1])),
    "path": _record(path=1),
    "shape": _record(shape="abc"),
    "no shape": _record(shape=None),
    "error": _record(rel_l2="large"),
    "error is true": _record(rel_l2=True),
    "tolerance": _record(tolerance=None),
    "verdict": _record(verdict="perhaps"),
    "surplus": _record(surplus=1),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_no_result(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    write_json(tmp_path / "r.json", [sample(1.0)])
    damage(tmp_path / "r.json")
    with pytest.raises(ParityError, match=r"r\.json (is not a result|has result schema)"):
        read_json(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("[]", r'expected \{"schema": 1, "results": \[\.\.\.\]\}, found \[\]'),
        ('{"a": 1}', r"found \{'a': 1\}"),
        ('{"schema": 1, "results": [{}]}', "'coverage' is missing"),
    ],
)
def test_what_was_found_is_said(tmp_path: Path, content: str, found: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ParityError, match=found):
        read_json(tmp_path / "r.json")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_that_json_lacks(tmp_path: Path, value: float) -> None:
    """Other readers refuse them as bare words, which earlier versions wrote: both are read."""

    def strict(word: str) -> None:
        pytest.fail(f"{word} is no JSON")

    wanted = result(record(snr_db=value, noise_ratio=value, rel_l2=None))
    write_json(tmp_path / "r.json", [wanted])
    content = json.loads((tmp_path / "r.json").read_text(), parse_constant=strict)
    gate.write_baseline(tmp_path / "b.json", gate.baseline_of([wanted]))
    json.loads((tmp_path / "b.json").read_text(), parse_constant=strict)
    entry = gate.read_baseline(tmp_path / "b.json")["results"]["htdemucs/odd float32"]
    assert [*entry["kinds"].values()] == [worst_noise_ratio(wanted.layers)]
    for kept in (value, repr(value)):
        content["results"][0]["layers"][0]["snr_db"] = kept
        (tmp_path / "r.json").write_text(json.dumps(content))
        assert repr(read_json(tmp_path / "r.json")[0].layers) == repr(wanted.layers)


def test_roots() -> None:
    """One wrong step in many models is one root; what is not compared at all is another."""
    wrong = record("tencoder.0:glu", kind="tap", module_class="HEncLayer", verdict="fail")
    failed = [result(replace(wrong, path=f"encoder.{i}:glu"), case=f"c{i}") for i in range(8)]
    failed.append(result(record(), missing=("module never called: lstm",), case="other"))
    lines = text.roots(failed)
    assert lines[0] == "9 failures have 2 roots:"
    root, _, ours = lines[1].partition("; port: ")
    assert root == "  8 of HEncLayer:glu, demucs/hdemucs.py:118"
    assert re.fullmatch(r"demucs_tf/blocks/encoder\.py:\d+", ours)
    assert lines[2:] == [
        "    c0, c1, c2, c3, c4, c5 and 2 more",
        "  1 of coverage: module never called: lstm",
        "    other",
    ]


def test_worst_of_each_kind() -> None:
    found = result(
        record("a", rel_l2=1e-8), record("b", rel_l2=4e-7), record("c", rel_l2=None),
        record("a:glu", kind="tap", module_class="HEncLayer", tolerance=0.0),
        record("a.bias", kind="parameter"),
        record("b:pad", kind="tap", module_class="HEncLayer", tolerance=0.0, verdict="fail"),
    )  # fmt: skip
    rows = [line.split() for line in text.worst_by_kind(found)]
    assert [(row[0], row[5], row[6]) for row in rows[1:]] == [
        ("Conv1d", "80%", "b"), ("HEncLayer:glu", "0%", "a:glu"),
        ("HEncLayer:pad", "inf%", "b:pad"),
    ]  # fmt: skip


def test_names_from_elsewhere_are_escaped() -> None:
    """A result is a file, and may have been sent."""
    bad = record("a\x1b[31m", verdict="fail", reason="r\x1b", source="s\x1b:1")
    found = result(bad, case="c\x1b[2J\n", missing=("m\x1b",))
    for shown in (
        text.details(found),
        "\n".join([*text.roots([found]), *text.worst_by_kind(found)]),
    ):
        assert "\x1b" not in shown
        assert "c\\x1b[2J" in shown or "\\x1b" in shown


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
    first, _, ours = lines[1].partition("; port: ")
    assert first == "first divergence: glu (Conv1d), demucs.py:60"
    file, _, number = ours.partition(":")
    assert "class Conv1d(" in (ROOT / file).read_text().splitlines()[int(number) - 1]
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


def test_what_decides_nothing_counts_against_coverage() -> None:
    blank = record("encoder.1", verdict="not decided", reason="constant", noise_ratio=None)
    now = result(record("encoder.0", noise_ratio=1.0), blank, case="c", environment={})
    assert (now.decided, now.verdict) == (Count(1, 2), "pass")
    assert text.summary(now).endswith("buffers 1/1, decided 1/2")
    assert "decided" not in text.summary(sample(1.0))
    [worse] = gate.regressions([now], gate.baseline_of([sample(1.0, 1.0)]))
    assert worse.startswith("c float32: 1 comparisons and 1 not decided, were 2")
    assert gate.regressions([now], gate.baseline_of([now])) == []


def test_an_empty_tensor_decides_nothing() -> None:
    empty, full = np.ones((1, 0)), np.ones((1, 2))
    assert plain(compare(empty, empty, 1e-6), empty)["verdict"] == "not decided"
    assert plain(compare(full, full, 1e-6), full)["verdict"] == "pass"
    assert plain(compare(full, empty, 1e-6), empty)["verdict"] == "fail"


def test_junit_keeps_the_worst_of_each_type() -> None:
    """Of a test of a layer: where, how large the error is, what it may be, what was found."""
    layers = [record("encoder.0"), record("encoder.0", mode="cumulative", rel_l2=4e-7)]
    kept: dict[str, object] = {}

    def result_of(name: str, dtype: str) -> Result:
        return result(*(replace(each, dtype=dtype) for each in layers), case=name)

    name = "demucs-dconv0"
    test_layers.test_equals_the_reference(name, "encoder.0", 1, result_of, kept.__setitem__)
    assert kept == {
        "case": name,
        "layer": "encoder.0",
        "float64 error": 4e-7,
        "float64 tolerance": 5e-7,
        "float64 verdict": "pass",
        "float32 error": 4e-7,
        "float32 tolerance": 5e-7,
        "float32 verdict": "pass",
    }
