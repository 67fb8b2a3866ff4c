"""Outputs are judged as they come: nothing is kept but what failed and the model's own output."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest

from parity.cases import BY_NAME
from parity.core import checking, layouts
from parity.core import judge as judging
from parity.core.capture import port, recorders
from parity.core.events import content
from parity.core.judge import Judge
from parity.demucs import SUBJECT
from parity.run import make_port, stored_expected

CASE = BY_NAME["demucs-dconv0"]


@pytest.fixture(scope="module")
def model() -> Any:
    model = make_port(CASE, "float32")
    port.build(SUBJECT, model, stored_expected(CASE))
    return model


@pytest.mark.parametrize("engine", ["eager", "graph"])
def test_outputs_are_let_go(model: Any, engine: port.Engine) -> None:
    expected = stored_expected(CASE)
    judge = Judge(SUBJECT, expected, "float32")
    seen: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def telling(mode: Any) -> recorders.Take:
        take = judge.taking(mode)

        def told(key: Any, outputs: list[Any]) -> None:
            take(key, outputs)
            seen.extend(weakref.ref(array) for array in outputs)
            alive.append(sum(ref() is not None for ref in seen))

        return told

    port.isolated(SUBJECT, model, expected, telling("isolated"))
    port.cumulative(SUBJECT, model, expected, engine, take=telling("cumulative"))
    assert len(seen) == 2 * sum(len(event.outputs) for event in expected.events)
    if engine == "eager":
        assert max(alive) <= 4
    assert set(judge.kept) == {(mode, ("", 0), 0) for mode in ("isolated", "cumulative")}
    assert all(judge.compared(event) for event in expected.events)
    assert judge.surplus == set()
    assert len(judge.portraits) == 8


def test_the_gain_is_over_the_error_of_what_came_in(model: Any) -> None:
    """An input is known by its numbers: by what else they came out of, in a golden as well."""
    expected = stored_expected(CASE)
    judge = Judge(SUBJECT, expected, "float32")
    port.cumulative(SUBJECT, model, expected, take=judge.taking("cumulative"))
    errors: dict[bytes, float] = {}
    gains = 0
    for record in judge.layers():
        event = next(e for e in expected.events if e.key == (record.path, record.call))
        known = [errors[key] for x in event.inputs if errors.get(key := content(x))]
        assert record.rel_l2 is not None
        assert record.gain == (record.rel_l2 / max(known) if known else None), record.path
        errors[content(event.outputs[record.output])] = record.rel_l2
        gains += bool(known)
    assert gains > len(expected.events) // 2


def test_what_a_layer_passes_on_is_compared_once(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the last layer inside it gave, held against the same numbers, to the same bound."""
    expected = stored_expected(CASE)
    calls: list[int] = []
    compare = judging.compare

    def counting(*arguments: Any) -> Any:
        calls[-1] += 1
        return compare(*arguments)

    monkeypatch.setattr(judging, "compare", counting)
    found = []
    for as_it_is in (True, False):
        judge = Judge(SUBJECT, expected, "float32")
        take = judge.taking("cumulative")

        def told(key: Any, outputs: list[Any], take: Any = take, same: bool = as_it_is) -> None:
            take(key, outputs if same else [array.copy() for array in outputs])

        calls.append(0)
        port.cumulative(SUBJECT, model, expected, take=told)
        found.append(list(judge.layers()))
    assert found[0] == found[1]
    assert calls[1] == len(found[0]) > calls[0] > len(found[0]) // 2


def test_to_the_first_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies behind it is not called; what lies before it is, as that could be the first."""
    wrong, expected, root = make_port(CASE, "float64"), stored_expected(CASE), "encoder.1.3"
    layer = port.layers_by_path(SUBJECT, wrong)[root]
    sound = type(layer).call
    monkeypatch.setattr(
        type(layer), "call", lambda self, x: sound(self, x) + 1e-3 * (self is layer)
    )
    every, some = (
        checking.check_expected(SUBJECT, expected, wrong, "float64", "isolated", to_first=to_first)
        for to_first in (False, True)
    )
    assert every.first_divergence == some.first_divergence == root
    left_out = {record.path for record in every.layers} - {record.path for record in some.layers}
    assert left_out == {"encoder.1", "decoder.0", "decoder.1", ""}
    assert every.coverage.call_sites.compared == every.coverage.call_sites.total
    assert some.coverage.call_sites.compared == some.coverage.call_sites.total - 4


def test_what_fails_is_kept(model: Any) -> None:
    expected = stored_expected(CASE)
    judge = Judge(SUBJECT, expected, "float32")
    take = judge.taking("cumulative")
    event = expected.events[3]
    take(event.key, [np.zeros_like(array, "float32") for array in event.outputs])
    take(("nowhere", 0), [])
    take((event.path, 7), [])
    take(expected.events[4].key, [])
    [record] = judge.records["cumulative"][event.key]
    assert record.verdict == "fail"
    assert list(judge.kept) == [("cumulative", event.key, 0)]
    assert judge.surplus == {("nowhere", 0), (event.path, 7)}
    assert judge.compared(event)
    assert not judge.compared(expected.events[4]), "another number of outputs"
    judge.forget("cumulative")
    assert not judge.compared(event)


@pytest.mark.parametrize(
    ("place", "found", "verdict", "reason"),
    [
        (":mean", 0.0, "pass", ""),
        (":mean", 2e-19, "not decided", "adds up to nothing"),
        (":mean", -2e-19, "not decided", "adds up to nothing"),
        (":mean", 1e-15, "fail", "relative L2 inf"),
        (":mean", np.nan, "fail", "NaN"),
        (":mean_t", 2e-19, "fail", "relative L2"),  # not zero in the reference
        (":restart", 2e-19, "fail", "relative L2 inf"),  # zeros, and no sum of anything
    ],
)
def test_the_rounding_of_a_sum_of_nothing_decides_nothing(
    place: str, found: float, verdict: str, reason: str
) -> None:
    case = "hdemucs-spectrogram" if place == ":restart" else "htdemucs-one-sample-any-length"
    expected = stored_expected(BY_NAME[case])
    judge = Judge(SUBJECT, expected, "float64")
    event = next(event for event in expected.events if event.path == place)
    declared = SUBJECT.layouts_of(event)[1][0]
    output = layouts.to_port(np.full(event.outputs[0].shape, found), declared)
    judge.taking("cumulative")(event.key, [output])
    [record] = judge.records["cumulative"][event.key]
    assert (record.verdict, reason in record.reason) == (verdict, True), record.reason
    assert (record.rel_l2 is None) == (verdict == "not decided" or np.isnan(found))
