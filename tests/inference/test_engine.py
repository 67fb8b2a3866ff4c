"""The graphs that models are run by, and which models share one."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import keras
import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.errors import CheckpointError
from demucs_tf.inference import engine
from demucs_tf.inference.engine import forward_function
from demucs_tf.layers.base import Identity, is_joined
from demucs_tf.models.demucs import DemucsTF
from demucs_tf.models.hdemucs import HDemucsTF
from demucs_tf.models.htdemucs import HTDemucsTF
from tests.support.fakes import FakeTF, noise
from tests.support.tiny_models import TRANSFORMER

SOURCES = ["drums", "vocals"]


def small(**changes: Any) -> DemucsTF:
    arguments = {"channels": 4, "depth": 2, "lstm_layers": 0, **changes}
    return DemucsTF(SOURCES, **arguments)


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No graphs of other tests, and the same weights every time."""
    keras.utils.set_random_seed(0)
    monkeypatch.setattr(engine, "_graphs", WeakValueDictionary())


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The models that a graph is traced of."""
    models: list[object] = []
    for name in ("Graphs", "traced"):
        make = getattr(engine, name)

        def watched(model: object, *arguments: Any, make: Any = make, **options: Any) -> object:
            models.append(model)
            return make(model, *arguments, **options)

        monkeypatch.setattr(engine, name, watched)
    return models


@pytest.mark.parametrize("kind", ["graph", "xla"])
def test_models_of_the_same_arguments_share_a_graph(kind: str, traced: list[object]) -> None:
    models = [small(), small(), small()]
    mix = noise(1, 2, 3000).astype(np.float32)
    outs = [forward_function(model, kind)(mix) for model in models]
    assert len(traced) == 1
    for model, out in zip(models, outs, strict=True):
        np.testing.assert_allclose(out, model(mix), rtol=0, atol=1e-6)
    assert np.abs(outs[0] - outs[1]).max() > 1e-4  # each with its own weights


def test_models_with_a_transformer_share_a_graph_too(traced: list[object]) -> None:
    for _ in range(2):
        forward_function(HTDemucsTF(SOURCES, **TRANSFORMER))
    assert len(traced) == 1


def test_new_weights_need_no_new_graph(traced: list[object]) -> None:
    model, other = small(), small()
    mix = noise(1, 2, 3000).astype(np.float32)
    before = forward_function(model)(mix)
    model.set_weights(other.get_weights())
    after = forward_function(model)(mix)
    assert len(traced) == 1
    assert not np.array_equal(before, after)
    assert np.array_equal(after, forward_function(other)(mix))


@pytest.mark.parametrize(
    "changes", [{"channels": 6}, {"segment": 5}, {"dtype": "float64"}, {"gelu": False}], ids=str
)
def test_models_of_other_arguments_do_not(changes: dict[str, Any], traced: list[object]) -> None:
    models = [small(), small(**changes)]
    for model in models:
        forward_function(model)
    assert traced == models


def _another_layer(model: Any) -> None:
    model.encoder[0].layers[2] = Identity()


def _another_call(model: Any) -> None:
    model.encoder[0].layers[2].call = lambda x: 0 * x


def _another_attribute(model: Any) -> None:
    model.normalize = False


def _a_private_method(model: Any) -> None:
    model._split = lambda x: tf.stack([x[:, :2], -x[:, 2:]], 1)


CHANGES = [_another_layer, _another_call, _another_attribute, _a_private_method]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_heard_and_others_are_not(
    change: Callable[[Any], None], traced: list[object]
) -> None:
    changed, untouched = small(resample=False), small(resample=False)
    mix = noise(1, 2, 400).astype(np.float32)
    before = forward_function(changed)(mix)
    change(changed)
    for model in (changed, untouched):
        np.testing.assert_allclose(forward_function(model)(mix), model(mix), rtol=0, atol=1e-6)
    assert np.abs(forward_function(changed)(mix) - before).max() > 1e-4
    assert traced == [changed, changed]


def test_a_method_that_was_replaced_in_a_class_is_heard(
    monkeypatch: pytest.MonkeyPatch, traced: list[object]
) -> None:
    model = small()
    mix = noise(1, 2, 400).astype(np.float32)
    before = forward_function(model)(mix)
    monkeypatch.setattr(DemucsTF, "_split", lambda self, x: 0 * tf.stack([x, x], 1)[:, :, :2])
    assert before.any()
    assert not forward_function(model)(mix).any()
    monkeypatch.undo()
    np.testing.assert_array_equal(forward_function(model)(mix), before)


def test_models_that_are_not_ours_have_graphs_of_their_own(traced: list[object]) -> None:
    models = [FakeTF(), FakeTF()]
    for model in [*models, *models]:
        forward_function(model)
    assert traced == models


@pytest.mark.parametrize(
    ("kind", "processor", "joins"),
    [("graph", True, True), ("graph", False, False), ("xla", True, True), ("xla", False, True)],
)
def test_layers_are_joined_but_on_a_gpu_without_xla(
    kind: str, processor: bool, joins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_on_cpu", lambda place: processor)
    seen: list[bool] = []

    def split(_: DemucsTF, x: Any) -> Any:
        seen.append(is_joined())
        return x[:, None]

    monkeypatch.setattr(DemucsTF, "_split", split)
    forward_function(small(), kind)(noise(1, 2, 400).astype(np.float32))
    assert seen == [joins]


def test_a_graph_goes_with_its_last_model() -> None:
    models = [small(), small()]
    for _ in range(2):
        forward_function(models[0])
        forward_function(models[-1])
        assert len(engine._graphs) == 1
        del models[0]
        gc.collect()
    assert not engine._graphs


@pytest.mark.parametrize("kind", ["eager", "graph"])
@pytest.mark.parametrize(
    "changes",
    [
        {"kernel_size": 3},  # its decoder gives 127 frequencies for 128
        {"depth": 5, "time_stride": 7},  # as many frames as it took only for some lengths
        {"multi_freqs": [0.5, 0.5], "multi_freqs_depth": 1},  # a band of nothing
    ],
    ids=str,
)
def test_layers_that_do_not_fit_each_other_are_one_clear_error(
    kind: str, changes: dict[str, Any]
) -> None:
    model = HDemucsTF(["a"], channels=4, **{"nfft": 256, "depth": 3, "hybrid": False, **changes})
    with pytest.raises(CheckpointError, match=r"^the model fails on an input of 4000 ") as caught:
        forward_function(model, kind)(noise(1, 2, 4000))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
