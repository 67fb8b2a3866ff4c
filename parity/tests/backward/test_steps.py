"""Training steps: losses and weights of both sides stay together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from parity.commands.steps.show import summary, table
from parity.core.backward.steps import Trained, compare_steps
from parity.core.result import ParityError

# (case, optimizer, dtype, engine): each family with each optimizer, dtype and engine once or more;
# `python -m parity train-steps` has all of them together.
QUICK = (
    ("demucs-dconv0", "sgd", "float64", "graph"),
    ("hdemucs-plain", "adam", "float64", "eager"),
    ("hdemucs-plain", "adam", "float32", "graph"),
    ("htdemucs-plain", "sgd", "float64", "graph"),
)
FULL = (
    ("demucs-lstm", "sgd", "float64", "graph"),
    ("demucs-lstm", "adam", "float32", "graph"),
    ("demucs-lstm", "adam", "float64", "eager"),
    ("hdemucs-plain", "sgd", "float32", "eager"),
    ("htdemucs-plain", "adam", "float64", "eager"),
    ("htdemucs-plain", "sgd", "float32", "graph"),
    ("htdemucs-plain", "adam", "float32", "graph"),
    ("htdemucs-shorter", "adam", "float64", "graph"),
)
# What is random in training: 3 steps.
DRAWN = ("hdemucs-end-iters", "htdemucs-dropout", "htdemucs-cape", "htdemucs-random-shift")


@pytest.mark.live
@pytest.mark.parametrize(
    ("name", "optimizer", "dtype", "engine"),
    [*QUICK, *(pytest.param(*row, marks=pytest.mark.full) for row in FULL)],
)
def test_twenty_steps(name: str, optimizer: Any, dtype: str, engine: Any) -> None:
    from parity import training

    (row,) = training.select([name])
    steps = training.run(row, optimizer, dtype, engine)
    assert len(steps.steps) == 20
    assert steps.verdict == "pass", "\n".join([summary(steps), *table(steps)])
    losses = [step.loss for step in steps.steps]
    assert len(set(losses)) == 20  # it was trained
    if dtype == "float64":
        assert max(step.loss_error for step in steps.steps) <= 1e-9


@pytest.mark.live
@pytest.mark.filterwarnings(  # the reference adds an array to a tensor
    "ignore:__array_wrap__ must accept context:DeprecationWarning"
)
@pytest.mark.parametrize("name", DRAWN)
def test_what_only_training_does(name: str) -> None:
    from parity import training

    (row,) = training.select([name])
    steps = training.run(row, "sgd", "float64", count=3)
    assert steps.verdict == "pass", "\n".join([summary(steps), *table(steps)])


@pytest.mark.live
def test_a_graph_that_draws_is_refused() -> None:
    from parity import training

    (row,) = training.select(["htdemucs-dropout"])
    with pytest.raises(ParityError, match="draws in training: compared by --engine eager alone"):
        training.run(row, "sgd", "float64", "graph", 1)
    with pytest.raises(
        ParityError, match=r"htdemucs-tokens is not trained. There are: demucs-dconv0, "
    ):
        training.select(["htdemucs-tokens"])


def _trained(*losses: float, weight: float = 1.0) -> Trained:
    return Trained([*losses], [{"w": np.full(2, weight)} for _ in losses])


@pytest.mark.parametrize(
    ("dtype", "loss", "weight", "verdict"),
    [
        ("float64", 1 + 1e-10, 1.0, "pass"),
        ("float64", 1 + 1e-8, 1.0, "fail"),
        ("float64", 1.0, 1 + 1e-8, "fail"),
        ("float64", float("nan"), 1.0, "fail"),
        ("float32", 1 + 3e-6, 1 + 3e-6, "pass"),
        ("float32", 1 + 5e-6, 1.0, "fail"),
        ("float32", 1.0, 1 + 5e-6, "fail"),
        ("float32", 1.0, float("nan"), "fail"),
    ],
)
def test_verdicts_of_a_step(dtype: str, loss: float, weight: float, verdict: str) -> None:
    narrow = _trained(1 + 1e-6, weight=1 + 1e-6)
    (step,) = compare_steps(_trained(1.0), narrow, _trained(loss, weight=weight), dtype)
    assert step.verdict == verdict


def test_weights_that_only_rounding_moves_are_left_out() -> None:
    found = _trained(1.0)
    found.weights[0]["b"] = np.ones(3)
    wide = replace(_trained(1.0), weights=[{"w": np.ones(2), "b": np.zeros(3)}])
    (step,) = compare_steps(wide, wide, found, "float64", left_out=["b"])
    assert step.verdict == "pass"
    (step,) = compare_steps(wide, wide, found, "float64")
    assert step.verdict == "fail"
