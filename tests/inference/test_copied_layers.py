"""Layers whose operations are copied: the same bits as if each had been traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.inference.graphs.copies import Copies
from demucs_tf.inference.graphs.session import Graphs
from demucs_tf.inference.graphs.trace import graph_of
from demucs_tf.layers.activation import ReLU
from demucs_tf.layers.base import Identity, Layer, observe, repeating
from demucs_tf.models.demucs import DemucsTF
from demucs_tf.models.hdemucs import HDemucsTF
from demucs_tf.models.htdemucs import HTDemucsTF
from tests.support.fakes import noise
from tests.support.tiny_models import TRANSFORMER

SOURCES = ["drums", "vocals"]
# Channels do not grow, so that layers of other depths are alike.
DEEP: dict[str, Any] = {"channels": 16, "growth": 1, "depth": 2, "dconv_mode": 3, "norm_starts": 1}
DEEP |= {"dconv_lstm": 1, "dconv_attn": 1}
MODELS: dict[str, Callable[[], Any]] = {
    "Demucs": lambda: DemucsTF(SOURCES, **DEEP, lstm_layers=1),
    "HDemucs": lambda: HDemucsTF(SOURCES, **DEEP, nfft=64),
    "HTDemucs": lambda: HTDemucsTF(SOURCES, **TRANSFORMER | {"t_layers": 3, "dconv_mode": 3}),
}


@pytest.fixture(autouse=True)
def the_same_weights() -> None:
    keras.utils.set_random_seed(0)


def _copied(model: Any, length: int | None = None) -> list[str]:
    names = [each.name for each in graph_of(model, length).get_operations()]
    return [name for name in names if "copy" in name]


def _inputs(model: Any, length: int = 4000) -> list[Any]:
    shift = [np.array([0, 3], np.int32)] if hasattr(model, "draw_shift") else []
    return [noise(2, 2, length), *shift]


def _out(model: Any, length: int = 4000) -> Any:
    weights = [each.value for each in model.variables]
    return Graphs(model, None)(lambda: weights, *_inputs(model, length))


@pytest.mark.parametrize("name", MODELS)
def test_a_copy_gives_the_bits_that_a_trace_gives(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODELS[name]()
    for variable in model.variables:
        variable.assign(variable + tf.random.normal(variable.shape, stddev=0.1))
    known = getattr(model, "training_length", None)
    length = known or 4321
    out = _out(model, length)
    assert len(_copied(model, known)) > 100
    monkeypatch.setattr(Copies, "call", lambda self, layer, function, inputs: function(*inputs))
    assert _copied(model, known) == []
    assert np.array_equal(out, _out(model, length))
    assert len(np.unique(out)) > 1000


def test_a_layer_with_another_attribute_is_traced_by_itself() -> None:
    model = MODELS["HTDemucs"]()
    every = len(_copied(model))
    before = _out(model)
    changed = model.decoder[-1].dconv.layers[0]
    changed.layers[2] = ReLU()
    after = _out(model)
    assert len(_copied(model)) < every
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(after, model(*_inputs(model)), rtol=0, atol=1e-5)


def test_a_layer_with_another_call_is_traced_by_itself() -> None:
    model = MODELS["HTDemucs"]()
    model.decoder[-1].dconv.call = lambda x: -x
    np.testing.assert_allclose(_out(model), model(*_inputs(model)), rtol=0, atol=1e-5)


class Scaled(Layer):
    """Multiplies with what was there before it was called."""

    repeated = True
    outer: Any = None

    def call(self, x: Any) -> Any:
        return x * tf.sqrt(self.outer)


def _traced(call: Callable[[Any], Any], copies: Copies) -> tuple[Any, list[str]]:
    graph = tf.Graph()
    with graph.as_default(), repeating(copies):
        out = call(tf.compat.v1.placeholder(tf.float32, [3], "x"))
    operations = [each.name for each in graph.get_operations()]
    with tf.compat.v1.Session(graph=graph) as session:
        return session.run(out, {"x:0": [1.0, 4.0, 9.0]}), operations


@pytest.mark.parametrize("constant", [True, False])
def test_what_depends_on_more_than_it_is_given_is_not_copied(constant: bool) -> None:
    first, second = Scaled(), Scaled()

    def call(x: Any) -> Any:
        Scaled.outer = tf.constant(4.0) if constant else x[1]
        return second(first(x) + 1)

    out, operations = _traced(call, Copies({}))
    np.testing.assert_allclose(out, [6, 18, 38])
    assert any("copy" in name for name in operations) == constant


class Difference(Layer):
    repeated = True

    def call(self, x: Any, y: Any) -> Any:
        return x * y - y


def test_two_inputs_are_not_one() -> None:
    once, twice, again = Difference(), Difference(), Difference()
    out, operations = _traced(lambda x: once(x, x) + twice(x, x + 1) + again(x + 1, x), Copies({}))
    np.testing.assert_allclose(out, [0 + 0 + 1, 12 + 15 + 16, 72 + 80 + 81])
    assert any("copy" in name for name in operations)


class _Passing:
    """An observer that remembers whom it has called."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def call(self, layer: Any, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        self.seen.append(layer)
        return function(*inputs)

    def step(
        self, layer: Any, name: str, function: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        return function(*inputs)


def test_it_is_for_layers_that_are_repeated_where_nobody_watches() -> None:
    caller, observer = _Passing(), _Passing()
    Scaled.outer = tf.constant(4.0)
    repeated, other = Scaled(), Identity()
    with repeating(caller):
        x = other(repeated(tf.ones(3)))
        with observe(observer):
            repeated(x)
    repeated(x)
    assert (caller.seen, observer.seen) == ([repeated], [repeated])
