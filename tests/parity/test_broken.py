"""A port that raises an error of its own has failed, at a call that is named; the rest goes on."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

from demucs_tf.layers import activation
from demucs_tf.models import demucs as port
from parity.cases import BY_NAME
from parity.core.capture.port import Engine
from parity.core.result import Mode
from parity.report import text
from parity.run import run_case, run_cases

CASE = BY_NAME["demucs-dconv0"]


def _of_another_shape(x: Any, *_: Any) -> Any:
    return x + tf.zeros([1, 7777, 1], x.dtype)


def test_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation, "glu", _of_another_shape)
    result = run_case(CASE, "float64")
    assert result.verdict == "fail"
    told = result.coverage.missing[0]
    assert told.startswith("the port fails at encoder.0.5 call 0, in test_broken.py:2")
    assert "InvalidArgumentError: " in told
    assert "\x1b" not in told
    assert "missing:\n  the port fails at encoder.0.5 call 0" in text.details(result)
    assert "coverage: the port fails at encoder.0.5 call 0" in text.roots([result])[1]


@pytest.mark.parametrize(
    ("mode", "engine"),
    [("isolated", "eager"), ("cumulative", "eager"), ("cumulative", "graph")],
)
def test_a_step(mode: Mode, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "resample_frac", lambda *_: 1 / 0)
    result = run_case(CASE, "float64", mode=mode, engine=engine)
    assert result.verdict == "fail"
    told = result.coverage.missing[0]
    assert told.startswith("the port fails at :upsample call 0, in test_broken.py:")
    assert told.endswith(": ZeroDivisionError: division by zero")


def test_what_came_before_is_judged_and_other_cases_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation, "glu", _of_another_shape)
    monkeypatch.setattr(port, "unbiased_std", lambda x: tf.ones_like(x[:, :, :1]))
    cases = [CASE, BY_NAME["demucs-mono"]]
    first, other = run_cases(cases, ["float64"], attribution="failure")
    assert first.first_divergence == ":std"
    assert first.attribution == ()
    assert first.coverage.missing[0].startswith("the port fails at ")
    assert other.first_divergence == ":std"
