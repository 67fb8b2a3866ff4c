"""What an exported file says of lengths, as a model that `apply_model` takes."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from demucs_tf import apply_model
from demucs_tf.errors import ExportError
from demucs_tf.export.metadata import Metadata, ValidLength
from demucs_tf.runtimes.model import Array, ExportedModel, Turns, exported_model
from tests.support.fakes import noise

FIXED = Metadata("DemucsTF", ("a", "b"), 100, 2, 100, 108, "float32", "0" * 64)
CONVOLUTIONS = ValidLength(depth=2, kernel_size=8, stride=4, resample=True)
FREE = replace(FIXED, any_length=True, valid_length=CONVOLUTIONS)
HYBRID = replace(FIXED, model="HDemucsTF", length=100, any_length=True)
TRAINED = replace(FIXED, model="HTDemucsTF", length=100, training_length=100)
UNTRAINED = replace(FIXED, model="HTDemucsTF", length=100)


def model(metadata: Metadata, lengths: list[int] | None = None) -> Any:
    """A file whose stems are the mixture and twice the mixture; it notes the lengths it gets."""

    def run(mix: Array) -> Array:
        if lengths is not None:
            lengths.append(mix.shape[-1])
        return np.stack([mix, 2 * mix], 1)

    return exported_model(metadata, "onnx", run)


@pytest.mark.parametrize(
    ("metadata", "length", "wanted"),
    [
        (FIXED, 100, 108),
        (FIXED, 7, 108),
        (FREE, 100, CONVOLUTIONS.at_least(100)),
        (FREE, 1000, CONVOLUTIONS.at_least(1000)),
        (HYBRID, 7, 7),
        (TRAINED, 7, 100),
    ],
)
def test_the_length_that_a_chunk_is_padded_to(metadata: Metadata, length: int, wanted: int) -> None:
    assert model(metadata).valid_length(length) == wanted


@pytest.mark.parametrize("metadata", [FIXED, TRAINED, UNTRAINED])
def test_a_chunk_that_is_too_long_is_refused(metadata: Metadata) -> None:
    with pytest.raises(ValueError, match="at most 100 samples, got 101"):
        model(metadata).valid_length(101)
    mix = noise(1, 2, 101)
    with pytest.raises(ValueError, match=r"Given length 101 is longer .* of at most 1 s"):
        apply_model(model(metadata), mix, shifts=0, split=False)


def test_a_segment_has_to_be_the_files_own_if_it_has_one_length() -> None:
    mix = noise(1, 2, 250)
    for metadata in (FIXED, UNTRAINED):
        with pytest.raises(ValueError, match=r"takes chunks of 1 s only.*--length 0.5"):
            apply_model(model(metadata), mix, shifts=0, segment=0.5)
    same = apply_model(model(FIXED), mix, shifts=0, segment=1.0)
    assert np.array_equal(same, apply_model(model(FIXED), mix, shifts=0))


@pytest.mark.parametrize(
    ("metadata", "lengths"),
    [
        (FREE, {CONVOLUTIONS.at_least(n) for n in (50, 39, 2)}),
        (HYBRID, {50, 39, 2}),
        (TRAINED, {100}),
    ],
)
def test_another_segment_where_the_file_takes_it(metadata: Metadata, lengths: set[int]) -> None:
    seen: list[int] = []
    mix = noise(1, 2, 37 * 5 + 2)  # chunks of 50, 39 and 2 samples
    out = apply_model(model(metadata, seen), mix, shifts=0, segment=0.5)
    np.testing.assert_allclose(out[:, 1], 2 * mix, rtol=1e-5)
    assert set(seen) == lengths


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("jobs", [0, 2])
def test_chunks_stand_in_the_middle(batch_size: int, jobs: int) -> None:
    seen: list[int] = []
    mix = noise(2, 2, 333)
    out = apply_model(model(FIXED, seen), mix, 2, seed=0, batch_size=batch_size, num_workers=jobs)
    np.testing.assert_allclose(out[:, 0], mix, atol=1e-6)
    assert set(seen) == {108}


def test_a_transformer_draws_what_it_draws_in_tensorflow() -> None:
    drawn, wanted = random.Random(0), random.Random(0)
    assert model(TRAINED).draw_shift(drawn) == wanted.randrange(1) == 0
    assert drawn.random() == wanted.random()
    assert not hasattr(model(FIXED), "draw_shift")


def test_one_file_of_a_bag_is_in_memory_at_a_time() -> None:
    told: list[str] = []

    class Fake:
        def __init__(self, name: str) -> None:
            self.name = name

        def __call__(self, mix: Array) -> Array:
            told.append(f"{self.name} runs")
            return mix

        def release(self) -> None:
            told.append(f"{self.name} goes")

    turns = Turns()
    first, second = turns(Fake("a")), turns(Fake("b"))
    for run in (first, first, second, first):
        run(noise(1, 2, 3))
    loaded = ["a goes", "b goes"]
    assert told == [*loaded, "a runs", "a runs", "a goes", "b runs", "b goes", "a runs"]


def test_stems_of_another_shape_are_an_error() -> None:
    wrong = ExportedModel(FIXED, "onnx", lambda mix: mix[:, None])
    with pytest.raises(ExportError, match=r"shape \(1, 2, 2, 108\).*got \(1, 1, 2, 108\)"):
        wrong(noise(1, 2, 108))
