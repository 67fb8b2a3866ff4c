"""The published configurations: each is the size of the reference's."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from demucs_tf.checkpoints.assemble import within
from demucs_tf.errors import CheckpointError
from demucs_tf.layers.base import blank_weights
from demucs_tf.models.presets import PRESETS, build


def size_here(name: str) -> int:
    with blank_weights():
        model = build(name)
    return sum(int(variable.shape.num_elements()) for variable in model.variables)


def size_of_the_reference(name: str) -> int:
    import torch

    preset = PRESETS[name]
    module, _, cls = preset.klass.rpartition(".")
    arguments: dict[str, Any] = {**preset.arguments, "rescale": 0}  # needs numbers
    with torch.device("meta"):
        model = getattr(importlib.import_module(module), cls)(list(preset.sources), **arguments)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.live
@pytest.mark.parametrize(
    "name",
    [
        name if name.startswith("htdemucs") else pytest.param(name, marks=pytest.mark.full)
        for name in PRESETS
    ],
)
def test_parameters_are_as_many_as_in_the_reference(name: str) -> None:
    assert size_here(name) == size_of_the_reference(name)


def test_htdemucs_has_the_published_number_of_parameters() -> None:
    with within(41_984_456, arrays=533):
        assert size_here("htdemucs") == 41_984_456


@pytest.mark.parametrize("name", PRESETS)
def test_no_checkpoint_that_is_much_smaller_makes_a_published_model(name: str) -> None:
    with (
        pytest.raises(CheckpointError, match="describe a model of more than"),
        within(10**6, arrays=600),
    ):
        size_here(name)


def test_changes_are_passed_on_and_the_rest_stays() -> None:
    model = build("mdx_multi", dtype="float64", channels=8, depth=5, nfft=256, segment=1)
    assert model.compute_dtype == "float64"
    assert model.sources == ["drums", "bass", "other", "vocals"]
    config = model.get_config()
    assert (config["channels"], config["segment"]) == (8, 1)
    assert list(config["multi_freqs"]) == [0.1, 0.3]
    assert PRESETS["mdx_multi"].arguments["segment"] == 44


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no preset 'htdemucs_7s'; there are htdemucs, "):
        build("htdemucs_7s")


def test_each_published_member_is_in_one_preset() -> None:
    members = [member for preset in PRESETS.values() for member in preset.members]
    assert len(members) == len(set(members)) == 19
