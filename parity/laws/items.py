"""Relations of the items of a batch, of level, and of engines.

A law raises NotDecided where the model does not promise it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core.compare import UNIT_ROUNDOFF
from parity.core.seeding import seeded_random
from parity.core.tolerances import FACTOR
from parity.laws.measure import Measure
from parity.laws.relation import Found, NotDecided

Array = npt.NDArray[Any]

# The level that gain is tried at, and the gain: powers of two, so that they round nothing.
LEVEL, GAIN = 2.0**10, 8.0
EPSILON = 1e-5  # what Demucs adds to the level that it divides by


def order(measure: Measure, dtype: str) -> Found:
    """f(x in another order) is f(x) in that order."""
    mix = measure.mix
    return np.roll(measure.run(dtype, np.roll(mix, 1, 0)), -1, 0), *_wanted(measure, dtype)


def alone(measure: Measure, dtype: str) -> Found:
    """f(one item) is that item of f(all)."""
    items = [measure.run(dtype, item[None])[0] for item in measure.mix]
    return np.stack(items), *_wanted(measure, dtype)


def _wanted(measure: Measure, dtype: str) -> tuple[Array, list[float]]:
    return measure.truth(measure.mix), measure.bounds(measure.mix, dtype)


def gain(measure: Measure, dtype: str) -> Found:
    """f(g x) is g f(x), but for the epsilon that the level is divided by with.

    At a standard deviation of s that changes the normalised mixture by epsilon / s (1 - 1 / g).
    The model makes of it what it makes of rounding: its own error over one rounding.
    """
    config = measure.config
    if config is None or not getattr(config, "normalize", True):
        raise NotDecided("the model takes no level out, so stems need not follow the mixture's")
    loud = LEVEL * measure.mix
    change = EPSILON / loud.mean(axis=1).std(axis=-1) * (1 - 1 / GAIN)
    amplified = [floor / UNIT_ROUNDOFF["float32"] for floor in measure.floors(loud)]
    bounds = [
        rounding + FACTOR * factor * part
        for rounding, factor, part in zip(
            measure.bounds(loud, dtype), amplified, change.tolist(), strict=True
        )
    ]
    return measure.run(dtype, GAIN * loud) / GAIN, measure.truth(loud), bounds


def graph(measure: Measure, dtype: str) -> Found:
    """One graph for unknown lengths gives what eager execution gives at each of three."""
    function = _graph_of(measure.models[dtype], dtype)
    found, wanted, bounds = [], [], []
    for part in (1.0, 0.71, 0.33):
        mix = measure.mix[:1, :, : max(1, int(part * measure.mix.shape[-1]))]
        wanted.append(measure.truth(mix)[0].ravel())
        found.append(function(mix.astype(dtype))[0].ravel())
        bounds += measure.bounds(mix, dtype)
    if [len(x) for x in found] != [len(x) for x in wanted]:
        return np.zeros(len(found)), np.zeros(len(wanted) + 1), bounds
    return _stacked(found), _stacked(wanted), bounds


def _stacked(rows: list[Array]) -> Array:
    """Rows of several lengths, with zeros behind the shorter ones."""
    out = np.zeros((len(rows), max(map(len, rows))))
    for place, row in zip(out, rows, strict=True):
        place[: len(row)] = row
    return out


def _graph_of(model: Any, dtype: str) -> Callable[[Array], Array]:
    if getattr(model, "config", None) is not None:
        from demucs_tf.inference.engine import forward_function

        forward = forward_function(model, "graph")

        def run(mix: Array) -> Array:
            if not hasattr(model, "draw_shift"):
                return forward(mix)
            shifts = [model.draw_shift(random) for _ in mix]  # as eager execution draws it
            return forward(mix, np.array(shifts, np.int32))

    else:
        import tensorflow as tf

        shape = tf.TensorSpec((None, model.audio_channels, None), dtype)
        traced = tf.function(model, input_signature=[shape])

        def run(mix: Array) -> Array:
            return np.asarray(traced(tf.constant(mix)))

    def seeded(mix: Array) -> Array:
        with seeded_random():
            return run(mix)

    return seeded
