"""Callbacks of `fit`: averaged weights in validation, a state on disk, a stop at what is no number.

Keras has the like of all three. Its `SwapEMAWeights` exchanges weights by adding and subtracting,
which rounds them, so that validating would change the training; its `BackupAndRestore` writes two
files in place, so that a kill between them leaves halves; its `TerminateOnNaN` leaves weights that
are no numbers.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from demucs_tf.checkpoints.save import save_model
from demucs_tf.errors import TrainingError
from demucs_tf.training import state as states
from demucs_tf.training.batches import Batches
from demucs_tf.training.plan import Plan
from demucs_tf.training.state import State
from demucs_tf.utils.atomic import write_whole

STATE, MODEL, LOG = "state.safetensors", "model.safetensors", "log.csv"


def exchange(model: Any) -> None:
    """Exchange the weights of a compiled model with their moving averages, to the bit."""
    optimizer = model.optimizer
    averages = optimizer._model_variables_moving_average
    for variable, average in zip(model.trainable_variables, averages, strict=True):
        weights = np.array(variable)
        variable.assign(average)
        average.assign(weights)


@contextmanager
def averaged(model: Any) -> Iterator[None]:
    """Have the moving averages of the weights in a compiled model for a while."""
    exchange(model)
    try:
        yield
    finally:
        exchange(model)


class AveragedValidation(keras.callbacks.Callback):
    """Validate with the moving averages of the weights."""

    def on_test_begin(self, logs: Any = None) -> None:
        exchange(self.model)

    def on_test_end(self, logs: Any = None) -> None:
        exchange(self.model)


class LearningRate(keras.callbacks.Callback):
    """Set the learning rate of each step."""

    def __init__(self, plan: Plan, first: int) -> None:
        super().__init__()
        self.plan, self.step = plan, first

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate.assign(self.plan.rate(self.step))
        self.step += 1


class SeededDropout(keras.callbacks.Callback):
    """Let the dropout of an epoch depend on the seed and the epoch alone."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        # Keras draws from one generator for all, which has no public name.
        from keras.src.random.seed_generator import global_seed_generator

        counters = [self.seed % 2**31, (epoch + 1) * 2**16 % 2**31]
        state = global_seed_generator().state
        state.assign(np.array(counters, dtype=str(state.dtype)))


class StopAtNaN(keras.callbacks.Callback):
    """Stop when the loss is no number, and have the weights of the last state again."""

    def __init__(self, batches: Batches, folder: Path, first: int) -> None:
        super().__init__()
        self.batches, self.folder, self.step = batches, folder, first

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            path = self.folder / STATE
            states.restore(path, self.model)
            raise TrainingError(
                f"The loss of step {self.step} is {loss}. The weights are those of step "
                f"{states.read(path).step} again, as {path} has them: resume with a smaller "
                f"learning rate. The batch: {self.batches.origin(self.step)}."
            )
        self.step += 1


class KeepState(keras.callbacks.Callback):
    """Write after each epoch: the state to resume from, the averaged model, and the log.

    Args:
        folder: where; it exists.
        state: of the beginning; it is kept up to date.
        every: steps of an epoch.
    """

    def __init__(self, folder: Path, state: State, every: int) -> None:
        super().__init__()
        self.folder, self.state, self.every = folder, state, every
        self._began = time.monotonic()
        self._before = state.history[-1]["seconds"] if state.history else 0.0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.state.step = (epoch + 1) * self.every
        seconds = self._before + time.monotonic() - self._began
        rate = self.state.training["plan"]["learning_rate"]
        row = {"step": self.state.step, "seconds": round(seconds, 1), "learning_rate": rate}
        self.state.history.append({**row, **{k: float(v) for k, v in (logs or {}).items()}})
        self.write()

    def write(self) -> None:
        """Write all three; TrainingError if there is no room."""
        states.write(self.folder / STATE, self.model, self.state)
        try:
            with averaged(self.model):
                save_model(self.model, self.folder / MODEL)
            self._write_log()
        except OSError as error:
            raise TrainingError(
                f"{self.folder}: {MODEL} or {LOG} can't be written ({error}). The state of step "
                f"{self.state.step} is there: make room, and resume."
            ) from error

    def _write_log(self) -> None:
        names = list(dict.fromkeys(name for row in self.state.history for name in row))
        with write_whole(self.folder / LOG) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(self.state.history)


class StopAfter(keras.callbacks.Callback):
    """Stop at the end of the epoch in which the time is over; the state is there by then."""

    def __init__(self, minutes: float) -> None:
        super().__init__()
        self._end = time.monotonic() + 60 * minutes

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if time.monotonic() >= self._end:
            self.model.stop_training = True
