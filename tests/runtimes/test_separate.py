"""A Separator on exported files gives what it gives on the models themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf import BagOfModels, Separator, apply_model, load_model
from parity.core.compare import snr_db
from tests.runtimes.conftest import TABLE, Exported
from tests.support.exports import RATE, as_in, tiny
from tests.support.fakes import noise

TRACK = noise(2, 3 * RATE + 123)
FILES = [("demucs", "onnx"), ("demucs", "tflite"), ("htdemucs", "tflite")]
FORMATS = {"onnx": "onnx", "tflite": "litert"}


def separated(model: Any, **settings: Any) -> dict[str, Any]:
    return Separator(model, **settings).separate_tensor(TRACK)[1]


@pytest.mark.parametrize(("kind", "format"), FILES)
@pytest.mark.parametrize("settings", [{"shifts": 0}, {"shifts": 2, "seed": 3, "overlap": 0.5}])
def test_stems_are_those_of_the_model(
    exported: Exported, kind: str, format: str, settings: dict[str, Any]
) -> None:
    path = exported(kind, format)
    wanted = separated(as_in(path, tiny(kind)), **settings)
    found = separated(path, engine=FORMATS[format], **settings)
    assert list(found) == list(wanted)
    for name, stem in found.items():
        assert stem.dtype == np.float32
        assert snr_db(stem, wanted[name]) >= 100


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("more", [{"jobs": 2}, {"batch_size": 3}, {"batch_size": 2, "jobs": 3}])
def test_jobs_and_batches_change_nothing(
    exported: Exported, format: str, more: dict[str, int]
) -> None:
    path = exported("demucs", format)
    alone, together = (separated(path, shifts=1, seed=0, **each) for each in ({}, more))
    for name, stem in alone.items():
        assert snr_db(together[name], stem) >= 120


def test_jobs_run_at_the_same_time_on_interpreters_of_their_own(exported: Exported) -> None:
    model = load_model(exported("demucs", "tflite"))
    apply_model(model, TRACK[None], shifts=0, num_workers=2)
    assert 1 <= len(model._run._free) <= 2


def test_the_last_chunk_of_a_litert_file_is_as_long_as_it_is(exported: Exported) -> None:
    path = exported("demucs", "tflite")
    wanted, found = (
        separated(each, shifts=0, overlap=0.1) for each in (tiny("demucs"), load_model(path))
    )
    assert all(snr_db(found[name], stem) >= 100 for name, stem in wanted.items())


@pytest.mark.parametrize("format", FORMATS)
def test_stems_can_be_chosen(exported: Exported, format: str) -> None:
    path = exported("demucs", format)
    everything = separated(path, shifts=0)
    chosen = separated(path, shifts=0, stems=("b", "no_b"))
    assert list(chosen) == ["b", "no_b"]
    assert np.array_equal(chosen["b"], everything["b"])
    assert np.array_equal(chosen["no_b"], everything["a"])


@pytest.mark.parametrize("format", FORMATS)
def test_what_a_loaded_file_says_of_itself(exported: Exported, format: str) -> None:
    model = load_model(exported("demucs", format))
    assert model.sources == tiny("demucs").sources
    assert (model.samplerate, model.audio_channels, float(model.segment)) == (RATE, 2, 1.0)
    assert model.compute_dtype == "float32"
    assert Separator(model).max_allowed_segment == float("inf")  # it takes any length


def test_the_longest_segment_without_split(exported: Exported) -> None:
    path = exported("demucs", "onnx")
    whole = Separator(path, shifts=0, split=False).separate_tensor(TRACK[:, :RATE])[1]
    cut = Separator(path, shifts=0, overlap=0).separate_tensor(TRACK[:, :RATE])[1]
    for name, stem in cut.items():
        assert snr_db(whole[name], stem) >= 120


def test_a_bag_of_files_is_the_bag_of_their_models(bag: Path) -> None:
    file = next(bag.glob("*.tflite"))
    members = [as_in(file, tiny("demucs", seed)) for seed in (0, 1, 0)]
    wanted = separated(BagOfModels(members, TABLE), shifts=1, seed=7)
    for path in (bag, bag / "manifest.json", str(bag)):
        found = separated(path, shifts=1, seed=7)
        assert all(snr_db(found[name], stem) >= 100 for name, stem in wanted.items())


def test_a_model_that_is_in_a_bag_twice_is_loaded_once(bag: Path) -> None:
    first, second, again = load_model(bag).models
    assert again is first is not second
