"""Trains a reference and its port side by side: the same weights, batches, loss and optimizer.

The loss is the mean absolute error. What is compared is the loss of every step, and the weights
after it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from parity.core.backward.gradients import judged
from parity.core.backward.optimizers import keras_optimizer, torch_optimizer
from parity.core.capture.port import Engine
from parity.core.result import Verdict
from parity.core.subject import Subject

Array = npt.NDArray[Any]
Optimizer = Literal["sgd", "adam"]
Batch = tuple[Array, Array]  # what is heard, and what should come out of it
Around = Callable[[int], AbstractContextManager[Any]]  # what seeds the draws of a step

# In float64 losses and weights are to be this near after any number of steps that is run here.
FLOAT64 = 1e-9
# In float32 both may be this many times as far from the reference's float64 as its float32 is.
FACTOR = 4.0


@dataclass
class Trained:
    """What a training run went through: the loss of each step, and all weights after it.

    Of a reference `start` are the weights before the first step, and `first` its gradients.
    """

    losses: list[float] = field(default_factory=list)
    weights: list[dict[str, Array]] = field(default_factory=list)
    start: dict[str, Array] = field(default_factory=dict)
    first: dict[str, Array | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One step. Errors are relative, to the reference in float64; floors are its own float32's.

    `loss` and `reference` are the port's loss and the reference's, in the dtype of the run. The
    errors of weights are over all that are learnt, as one vector, relative to the way that they
    have come since the start.
    """

    number: int
    loss: float
    reference: float
    loss_error: float
    loss_floor: float
    weights_error: float
    weights_floor: float
    verdict: Verdict


@dataclass(frozen=True)
class Steps:
    """All steps of one run. `left_out` are the weights that nothing but rounding moves."""

    case: str
    optimizer: Optimizer
    dtype: str
    engine: Engine
    steps: tuple[Step, ...]
    weights: int
    left_out: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """ "pass" if all steps did, and there were any."""
        passed = self.steps and all(step.verdict == "pass" for step in self.steps)
        return "pass" if passed else "fail"


def train_reference(
    module: Any, batches: Sequence[Batch], optimizer: Optimizer, dtype: str, around: Around
) -> Trained:
    """Train a copy of a torch module, in training mode, a step for each batch."""
    import torch

    kind = getattr(torch, dtype)
    model = copy.deepcopy(module).train().to(kind)
    update = torch_optimizer(optimizer, model.parameters())
    trained = Trained(start=_weights(model))
    for number, (mix, target) in enumerate(batches):
        with around(number):
            output = model(torch.from_numpy(mix).to(kind))
        loss = (output - torch.from_numpy(target).to(kind)).abs().mean()
        update.zero_grad()
        loss.backward()
        if not number:
            trained.first = {
                key: None if each.grad is None else each.grad.numpy().copy()
                for key, each in model.named_parameters()
            }
        update.step()
        trained.losses.append(float(loss.detach()))
        trained.weights.append(_weights(model))
    return trained


def _weights(model: Any) -> dict[str, Array]:
    return {key: each.detach().numpy().copy() for key, each in model.named_parameters()}


def train_port(
    subject: Subject,
    model: Any,
    batches: Sequence[Batch],
    optimizer: Optimizer,
    engine: Engine,
    around: Around,
) -> Trained:
    """Train a port, which this changes; a graph is traced once."""
    import tensorflow as tf

    variables = list(model.trainable_variables)
    update = keras_optimizer(optimizer)
    update.build(variables)

    def step(mix: Any, target: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.abs(model(mix, training=True) - target))
        gradients = tape.gradient(loss, variables)
        pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        update.apply([g for g, _ in pairs], [v for _, v in pairs])
        return loss

    if engine != "eager":
        step = tf.function(step, jit_compile=engine == "xla", autograph=False)
    trained = Trained()
    for number, batch in enumerate(batches):
        with around(number):
            loss = step(*(tf.constant(array, model.compute_dtype) for array in batch))
        trained.losses.append(float(loss))
        trained.weights.append(dict(subject.read_state(model)))
    return trained


def only_rounding(wide: Trained, narrow: Trained) -> tuple[str, ...]:
    """The weights whose gradient decides nothing: Adam makes whole steps of its rounding."""

    def draws(array: Array | None) -> list[Array] | None:
        return None if array is None else [array]

    reasons = {k: judged(draws(g), draws(narrow.first[k])).reason for k, g in wide.first.items()}
    return tuple(key for key, reason in reasons.items() if reason)


def compare_steps(
    wide: Trained,
    narrow: Trained,
    found: Trained,
    dtype: str,
    left_out: Sequence[str] = (),
) -> tuple[Step, ...]:
    """Hold a port's steps against the reference's in float64, with its float32 as the measure."""
    steps: list[Step] = []
    reference = wide if dtype == "float64" else narrow
    for number, loss in enumerate(found.losses):
        weights = _learnt(wide.weights[number], left_out)
        errors = [
            abs(each.losses[number] - wide.losses[number]) / abs(wide.losses[number])
            for each in (found, narrow)
        ]
        moved = [
            _distance(_learnt(each.weights[number], left_out), weights, wide.start)
            for each in (found, narrow)
        ]
        # One loss may be right by luck: its floor is the largest up to here.
        floors = [errors[1], *(step.loss_floor for step in steps)]
        floor = max(floors)
        limits = (FLOAT64,) * 2 if dtype == "float64" else _limits(floor, moved[1])
        passed = errors[0] <= limits[0] and moved[0] <= limits[1]  # a NaN does not pass
        steps.append(
            Step(
                number + 1,
                loss,
                reference.losses[number],
                errors[0],
                floor,
                moved[0],
                moved[1],
                "pass" if passed else "fail",
            )
        )
    return tuple(steps)


def _limits(*floors: float) -> tuple[float, ...]:
    unit = 2.0**-24
    return tuple(FACTOR * max(floor, unit) for floor in floors)


def _learnt(weights: Mapping[str, Array], left_out: Sequence[str]) -> dict[str, Array]:
    return {key: array for key, array in weights.items() if key not in left_out}


def _distance(
    found: Mapping[str, Array], wanted: Mapping[str, Array], start: Mapping[str, Array]
) -> float:
    """L2 over all weights together, relative to how far they are from `start`, or else from zero.

    Raises:
        KeyError: these are not the same weights.
    """
    if found.keys() != wanted.keys():
        raise KeyError(f"other weights: {sorted(found.keys() ^ wanted.keys())}")
    wide = {key: array.astype(np.float64) for key, array in found.items()}
    error = sum(float(np.sum((wide[key] - array) ** 2)) for key, array in wanted.items())
    length = sum(float(np.sum((each - start.get(key, 0.0)) ** 2)) for key, each in wanted.items())
    return float(np.sqrt(error / length)) if length else float("inf")
