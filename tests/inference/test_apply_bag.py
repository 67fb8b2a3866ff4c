"""Bags: members, weights, segments, callbacks, and stems that need only some members."""

from __future__ import annotations

import importlib
import random
from typing import Any

import numpy as np
import pytest

from demucs_tf import BagOfModels, apply_model
from parity.core.compare import compare
from tests.support.fakes import FakeTF, PaddedFakeTF, fake_torch, noise

GAINS = (1.0, 0.7, -1.3, 0.25)
ONE_HOT = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
WEIGHTS = {
    "equal": None,
    "one-hot": ONE_HOT,
    "weighted": [[1.0, 1.0, 0.0], [0.5, 3.0, 0.1], [1.0, 0.0, 1.0], [0.25, 0.0, 1.0]],
}


class Drawing(PaddedFakeTF):
    """A fake that draws a number for each chunk, as HTDemucs does, and adds it."""

    def draw_shift(self, generator: Any) -> int:
        drawn: int = generator.randrange(50)
        return drawn

    def __call__(self, mix: Any, shift: Any = None) -> Any:
        import tensorflow as tf

        return super().__call__(mix) + tf.cast(shift, mix.dtype)[:, None, None, None]


def bag_of(cls: type[FakeTF], weights: Any, **options: Any) -> BagOfModels:
    return BagOfModels([cls(gain=gain, **options) for gain in GAINS], weights)


@pytest.mark.live
@pytest.mark.parametrize("arguments", [{}, {"shifts": 3}, {"shifts": 0}, {"segment": 0.7}])
@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_equals_the_reference_bit_by_bit(weights: Any, arguments: dict[str, Any]) -> None:
    import torch

    reference = importlib.import_module("demucs.apply")
    mix = noise(2, 2, 733)
    theirs = reference.BagOfModels([fake_torch(True, gain) for gain in GAINS], weights)
    random.seed(3)
    wanted = reference.apply_model(theirs, torch.from_numpy(mix), **arguments).numpy()
    found = apply_model(bag_of(PaddedFakeTF, weights), mix, seed=3, **arguments)
    assert found.dtype == np.float32
    assert np.array_equal(found, wanted)


@pytest.mark.live
def test_callbacks_equal_the_reference() -> None:
    import torch

    reference = importlib.import_module("demucs.apply")
    mix = noise(1, 2, 250)
    theirs: list[dict[str, Any]] = []
    bag = reference.BagOfModels([fake_torch(True, gain) for gain in GAINS])
    given = {"models": 9, "model_idx_in_bag": 8, "mine": 7}
    reference.apply_model(
        bag, torch.from_numpy(mix), shifts=2, callback=theirs.append, callback_arg=given
    )
    ours: list[dict[str, Any]] = []
    mine = bag_of(PaddedFakeTF, None)
    apply_model(mine, mix, shifts=2, callback=ours.append, callback_arg=given)
    for places in (ours, theirs):  # the reference starts a shift before it has drawn the next
        assert len(places) == 4 * 2 * 2 * len(range(0, 300, 75))
    assert ours == theirs
    assert {d["models"] for d in ours} == {4}


@pytest.mark.parametrize("stems", [["level"], ["before", "level"], ["place"]])
@pytest.mark.parametrize("arguments", [{}, {"shifts": 2}, {"shifts": 0}, {"split": False}])
def test_a_choice_of_stems_is_that_of_all(stems: list[str], arguments: dict[str, Any]) -> None:
    """Whatever members are left out, those that run draw the same numbers as if they were not."""
    mix = noise(1, 2, 500)
    bag = bag_of(Drawing, ONE_HOT)
    every = apply_model(bag, mix, seed=11, **arguments)
    seen = set()
    some = apply_model(
        bag,
        mix,
        seed=11,
        **arguments,
        stems=stems,
        callback=lambda d: seen.add(d["model_idx_in_bag"]),
    )
    indices = [FakeTF.sources.index(stem) for stem in stems]
    assert np.array_equal(some, every[:, indices])
    assert seen == {k for k, row in enumerate(ONE_HOT) if any(row[i] for i in indices)}


def test_stems_of_one_model_in_the_order_asked_for() -> None:
    mix = noise(1, 2, 300)
    every = apply_model(FakeTF(), mix, seed=1)
    assert np.array_equal(
        apply_model(FakeTF(), mix, seed=1, stems=["before", "level"]), every[:, [2, 0]]
    )


@pytest.mark.parametrize(
    ("stems", "message"), [(["bass"], "stems must be of level, place, before"), ([], "got none")]
)
def test_stems_that_are_not_there(stems: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply_model(FakeTF(), noise(1, 2, 300), stems=stems)


def test_a_shifted_table_is_noticed() -> None:
    mix = noise(1, 2, 300)
    right = apply_model(bag_of(FakeTF, ONE_HOT), mix, seed=1)
    shifted = apply_model(bag_of(FakeTF, ONE_HOT[1:] + ONE_HOT[:1]), mix, seed=1)
    assert not compare(shifted, right, tolerance=0.1).passed


def test_interrupting_stops_at_once() -> None:
    calls = []

    def stop(place: dict[str, Any]) -> None:
        calls.append(place)
        if place["model_idx_in_bag"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_model(bag_of(FakeTF, None), noise(1, 2, 300), callback=stop)
    assert calls[-1]["model_idx_in_bag"] == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_change_nothing(workers: int) -> None:
    mix = noise(1, 2, 950)
    bag = bag_of(Drawing, WEIGHTS["weighted"])
    alone = apply_model(bag, mix, seed=2, shifts=2)
    assert np.array_equal(apply_model(bag, mix, seed=2, shifts=2, num_workers=workers), alone)


@pytest.mark.parametrize("segment", [0, 0.0001, 3600, float("nan")])
def test_a_segment_that_can_not_be(segment: float) -> None:
    model = FakeTF()
    with pytest.raises(ValueError, match=r"segment must be from 0\.01 to 300 seconds, got"):
        BagOfModels([model], segment=segment)
    assert model.segment == 1


def test_interrupting_threads_stops_them() -> None:
    started = []

    def stop(place: dict[str, Any]) -> None:
        started.append(place["state"])
        if len(started) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_model(FakeTF(), noise(1, 2, 5000), shifts=0, num_workers=2, callback=stop)
    assert len(started) < 12


def test_the_segment_overrides_but_not_beyond_what_a_transformer_was_trained_on() -> None:
    free, trained = FakeTF(), FakeTF()
    trained.training_length = 100  # type: ignore[attr-defined]
    bag = BagOfModels([free, trained], segment=3)
    assert (free.segment, trained.segment) == (3, 1.0)
    assert bag.max_allowed_segment == 1.0
    BagOfModels([free, trained], segment=0.5)
    assert (free.segment, trained.segment) == (0.5, 0.5)
    assert BagOfModels([free]).max_allowed_segment == float("inf")


@pytest.mark.parametrize(
    ("models", "weights", "message"),
    [
        ([], None, "at least one model"),
        ([FakeTF(), FakeTF("float64")], None, "agree in compute_dtype"),
        ([FakeTF(), FakeTF(audio_channels=1)], None, "agree in audio_channels"),
        (
            [FakeTF()],
            [[1, 1, 1], [1, 1, 1]],
            "of 1 models needs as many rows of weights, got 2",
        ),
        ([FakeTF()], [[1, 1]], "Each row of weights needs 3 numbers"),
        ([FakeTF()], [[1, 1, float("nan")]], "must be finite"),
        ([FakeTF(), FakeTF()], [[1, 0, 1], [1, 0, 1]], "add up to 0 for 'place'"),
    ],
)
def test_bags_that_can_not_be(models: Any, weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BagOfModels(models, weights)


def test_calling_a_bag_says_what_to_do() -> None:
    with pytest.raises(NotImplementedError, match="apply_model"):
        bag_of(FakeTF, None)(noise(1, 2, 10))
