"""The state of a training: one file, from which it goes on as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from demucs_tf.errors import TrainingError
from demucs_tf.utils.atomic import write_whole

VERSION = "1"
# What a resumed training may have otherwise; see `Plan`.
_FREE = ("steps", "decay", "learning_rate")


@dataclass
class State:
    """What is known of a training besides its arrays.

    Attributes:
        step: steps done.
        training: model, data, batches and plan as plain data; `check` compares them.
        history: a row for each epoch.
    """

    step: int
    training: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)

    def check(self, training: dict[str, Any], path: Path) -> None:
        """TrainingError unless the file at `path` belongs to this training."""
        for part, wanted in training.items():
            found = self.training.get(part, {})
            if found == wanted:
                continue
            names = [n for n in wanted if n not in _FREE and found.get(n) != wanted[n]]
            if names:
                shown = ", ".join(f"{n}={found.get(n)!r} (wanted {wanted[n]!r})" for n in names)
                raise TrainingError(
                    f"{path}: the state of another training: {part} has {shown}. Resume it with "
                    "what it was begun with, or choose another folder."
                )


def write(path: Path, model: Any, state: State) -> None:
    """Write weights, optimizer and `state`, whole or not at all.

    Raises:
        TrainingError: the disk is full or the folder is gone; what was at `path` is still there.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    metadata = {
        "version": VERSION,
        "state": json.dumps(
            {"step": state.step, "training": state.training, "history": state.history}
        ),
    }
    arrays = {name: np.asarray(variable) for name, variable in _variables(model)}
    try:
        with write_whole(path) as temporary:
            save_file(arrays, temporary, metadata=metadata)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"{path}: the state at step {state.step} can't be written ({error}). The one before "
            "is as it was: make room, and resume."
        ) from error


def read(path: Path) -> State:
    """What a file says of its training.

    Raises:
        TrainingError: it is no state of a training.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
        if metadata.get("version") != VERSION:
            raise ValueError(f"version {metadata.get('version')}, wanted {VERSION}")
        return State(**json.loads(metadata["state"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: not the state of a training ({error}).") from error


def restore(path: Path, model: Any) -> None:
    """Fill a compiled model and its optimizer with the arrays of a file.

    Raises:
        TrainingError: they are not those of this model; nothing has changed then.
    """
    from safetensors.numpy import load_file

    arrays, variables = load_file(path), dict(_variables(model))
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if {name: array.shape for name, array in arrays.items()} != shapes:
        raise TrainingError(f"{path}: the state of another model or optimizer.")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _variables(model: Any) -> Iterator[tuple[str, Any]]:
    """By their order: Keras counts the layers of a process in their names."""
    for part, variables in (("model", model.variables), ("optimizer", model.optimizer.variables)):
        for index, variable in enumerate(variables):
            yield f"{part}.{index}", variable
