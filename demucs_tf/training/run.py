"""Training from beginning to end: Keras's own `compile` and `fit`, and what goes around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from demucs_tf.errors import TrainingError
from demucs_tf.training import callbacks as ours
from demucs_tf.training import state as states
from demucs_tf.training.batches import Batches
from demucs_tf.training.metrics import StemSDR
from demucs_tf.training.plan import Plan
from demucs_tf.training.state import State


def compiled(model: Any, plan: Plan, jit: bool = False) -> Any:
    """Compile a model as `train` does: the mean absolute error over stems, as the reference, Adam.

    The same loss in float64 for a float64 model. `jit` compiles steps with XLA. Returns the model.

    Reference: demucs/solver.py::Solver._run_one_epoch
    """
    optimizer = keras.optimizers.Adam(
        plan.learning_rate,
        global_clipnorm=plan.clip,
        use_ema=True,
        ema_momentum=plan.average,
    )
    sdrs = [StemSDR(index, f"sdr_{stem}") for index, stem in enumerate(model.sources)]
    loss = keras.losses.MeanAbsoluteError(dtype=model.compute_dtype)
    model.compile(optimizer, loss=loss, metrics=sdrs, jit_compile=jit)
    optimizer.build(model.trainable_variables)
    return model


def train(
    model: Any,
    batches: Batches,
    plan: Plan,
    folder: str | PathLike[str],
    *,
    validation: Batches | None = None,
    validation_steps: int = 1,
    resume: bool = False,
    jit: bool = False,
    minutes: float | None = None,
    callbacks: Sequence[Any] = (),
    verbose: Any = "auto",
) -> State:
    """Train a model, and keep in `folder` all that is needed to go on after a kill.

    `state.safetensors` is written every `plan.every` steps, whole or not at all; a training that
    is resumed from it has the weights that it would have had undisturbed, to the bit on the same
    machine. `model.safetensors` has the averaged weights, `log.csv` the losses.

    Args:
        model: one of ours; at the end it has the averaged weights.
        batches: what is learnt.
        plan: for how long and how fast.
        folder: made if need be. Without `resume` it must have no state yet.
        validation: batches that the model is measured on at the end of each epoch.
        validation_steps: so many of them.
        resume: go on from the state of `folder`.
        jit: compile steps with XLA: faster, but the bits are other ones.
        minutes: stop early, at the end of the epoch in which they are over.
        callbacks: further ones, of Keras.
        verbose: as in `fit`.

    Returns:
        steps done, and a row of the log for each epoch.

    Raises:
        TrainingError: the folder has a state already, or one of another training; a stem is gone;
            the loss is no number; the disk is full. The message says which, and what to do.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    compiled(model, plan, jit)
    state = _begin(model, batches, plan, folder, resume)
    keep = ours.KeepState(folder, state, plan.every)
    keep.set_model(model)
    if not resume:
        keep.write()
    first, before = state.step, {}
    if validation is not None:
        before = {"validation_data": validation.dataset(0, validation_steps).cache()}
    mine = [
        ours.LearningRate(plan, first),
        ours.SeededDropout(batches.seed),
        ours.StopAtNaN(batches, folder, first),
        ours.AveragedValidation(),
        *callbacks,
        keep,
        *([] if minutes is None else [ours.StopAfter(minutes)]),
    ]
    if first < plan.steps:
        try:
            model.fit(
                batches.dataset(first, plan.steps),
                initial_epoch=first // plan.every,
                epochs=plan.steps // plan.every,
                steps_per_epoch=plan.every,
                callbacks=mine,
                shuffle=False,
                verbose=verbose,
                **before,
            )
        except tf.errors.OpError as error:
            failure = batches.failure
            if failure is None and validation is not None:
                failure = validation.failure
            if failure is None:
                raise
            raise failure from error
    else:
        ours.exchange(model)
    return state


def _begin(model: Any, batches: Batches, plan: Plan, folder: Path, resume: bool) -> State:
    path = folder / ours.STATE
    training = {
        "model": {"class": type(model).__name__, **model.config.to_dict()},
        "data": {"pieces": batches.folder.fingerprint},
        "batches": {
            "size": batches.size,
            "length": batches.length,
            "seed": batches.seed,
            "dtype": batches.dtype,
        },
        "augmentation": {**asdict(batches.augmentation), "gain": list(batches.augmentation.gain)},
        "plan": plan.to_dict(),
    }
    if not resume:
        if path.exists():
            raise TrainingError(
                f"{path} is there already: resume it, or choose another folder. Nothing is lost."
            )
        return State(0, training)
    if not path.exists():
        raise TrainingError(f"{path}: there is nothing to resume from.")
    state = states.read(path)
    state.check(training, path)
    if state.step > plan.steps or state.step % plan.every:
        raise TrainingError(f"{path}: it is at step {state.step}, the plan ends at {plan.steps}.")
    states.restore(path, model)
    state.training = training
    return state
