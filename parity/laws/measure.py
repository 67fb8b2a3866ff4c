"""Runs a model in both precisions, and says how far rounding may take it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.cases import signals
from parity.core import tolerances
from parity.core.compare import UNIT_ROUNDOFF, relative_l2
from parity.core.result import ParityError
from parity.core.seeding import seeded_random
from parity.laws.relation import SENTENCES, Relation

Array = npt.NDArray[Any]
BATCH = 3
LEVELS = (1.0, 0.05, 0.4)  # of the items: a model that mixes them up is heard in the quiet one


@dataclass(frozen=True)
class Measure:
    """A model in float32 and float64, and a piece of music (B, A, T), each item another."""

    models: dict[str, Any]
    mix: Array
    _kept: dict[bytes, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Any, wide: Any, seconds: float, seed: int) -> Measure:
        """Both precisions of a model.

        Raises:
            ParityError: the second cannot be made, or has the same precision.
        """
        pair = (model, twin(model) if wide is None else wide)
        models = {str(each.compute_dtype): each for each in pair}
        if set(models) != {"float32", "float64"}:
            raise ParityError(
                "relations need the model in float32 and in float64, found "
                f"{' and '.join(str(each.compute_dtype) for each in pair)}."
            )
        longest = getattr(model, "training_length", math.inf)
        length = int(min(seconds * model.samplerate, longest))
        length = max(1, length - 1 + length % 2)  # odd
        shape = (BATCH, model.audio_channels, length)
        levels = np.array(LEVELS)[:, None, None]
        mix = (signals.make("piece", shape, seed) * levels).astype(np.float32)
        return cls(models, mix.astype(np.float64))

    @property
    def config(self) -> Any:
        """The configuration of a model of ours; None of another."""
        return getattr(self.models["float32"], "config", None)

    def run(self, dtype: str, mix: Array) -> Array:
        """The model's output; what it draws at random is the same each time."""
        return self.of_model(self.models[dtype], dtype, mix)

    def of_model(self, model: Any, dtype: str, mix: Array) -> Array:
        """The output of a variant of the model."""
        import tensorflow as tf

        with seeded_random():
            return np.asarray(model(tf.constant(mix.astype(dtype))))

    def truth(self, mix: Array) -> Array:
        """The model's float64 output."""
        return self._cached("float64", mix)

    def _cached(self, dtype: str, mix: Array) -> Array:
        key = dtype.encode() + str(mix.shape).encode() + mix.tobytes()
        if key not in self._kept:
            self._kept[key] = self.run(dtype, mix)
        return self._kept[key]

    def bounds(self, mix: Array, dtype: str) -> list[float]:
        """How far an output may be from the float64 one by rounding, relative L2, item by item.

        The unit is what the model's own float32 is off, as for every tensor that is compared with
        the reference; see `parity.core.tolerances`.
        """
        units = self.floors(mix)
        if dtype == "float32":
            return [tolerances.FACTOR * unit for unit in units]
        return [tolerances.FACTOR_FLOAT64 * tolerances.SCALE_FLOAT64 * unit for unit in units]

    def floors(self, mix: Array) -> list[float]:
        """The relative L2 error of the model's own float32, item by item, one rounding at least."""
        pairs = zip(self._cached("float32", mix), self.truth(mix), strict=True)
        return [max(relative_l2(*pair), UNIT_ROUNDOFF["float32"]) for pair in pairs]

    def relation(
        self, name: str, dtype: str, found: Array, wanted: Array, bounds: list[float]
    ) -> Relation:
        """The verdict on what was found and should be, (B, ...) each, with a bound for each item.

        A relation between nothing but silence is not decided.
        """
        holds, broken = SENTENCES[name]
        if found.shape != wanted.shape:
            told = f"{broken}: its shape is {found.shape}, expected {wanted.shape}"
            return Relation(name, dtype, "fail", None, None, told)
        if not wanted.any() and not found.any():
            return Relation(name, dtype, "not decided", None, None, "all stems are silent")
        errors = [relative_l2(*pair) for pair in zip(found, wanted, strict=True)]
        shares = [e / b if np.isfinite(e) else np.inf for e, b in zip(errors, bounds, strict=True)]
        worst = int(np.argmax(shares))
        error, bound = errors[worst], bounds[worst]
        if error <= bound:
            return Relation(name, dtype, "pass", error, bound, holds)
        told = f"{broken}: relative L2 {error:.2g}, and rounding explains {bound:.2g}"
        return Relation(name, dtype, "fail", error, bound, told)


def twin(model: Any, change: Any = None) -> Any:
    """A model of the same class and weights in the other precision.

    With `change`, in the same precision with the weights that `change(state)` gives.

    Raises:
        ParityError: it has no configuration to be made of.
    """
    from demucs_tf.checkpoints.weights import load_state, read_state
    from demucs_tf.layers.base import blank_weights

    other = {"float32": "float64", "float64": "float32"}[str(model.compute_dtype)]
    dtype = other if change is None else str(model.compute_dtype)
    if getattr(model, "config", None) is None:
        raise ParityError(
            f"a second {type(model).__name__} in {dtype} cannot be made of its configuration: "
            "give it as wide=..."
        )
    with blank_weights():
        made = type(model).from_config({**model.get_config(), "dtype": dtype})
    state = read_state(model)
    load_state(made, state if change is None else change(state))
    return made
