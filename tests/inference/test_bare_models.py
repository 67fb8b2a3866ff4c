"""Models without layers: they give what the models themselves give."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import demucs_tf
from demucs_tf.errors import CheckpointError
from demucs_tf.inference import engine
from demucs_tf.inference.graphs.bare import BareModel
from demucs_tf.inference.graphs.kept import keep_graphs
from demucs_tf.inference.separator import Separator
from demucs_tf.models.config import CONFIGS
from demucs_tf.models.ports import PORTS
from tests.support.fakes import noise
from tests.support.tiny_models import TRANSFORMER

SOURCES = ["drums", "vocals"]
MIX = noise(2, 9000).astype(np.float32)
ARGUMENTS: dict[str, dict[str, Any]] = {
    "DemucsTF": {"channels": 4, "depth": 2, "lstm_layers": 1},
    "HDemucsTF": {"channels": 4, "depth": 2, "nfft": 64, "dconv_comp": 2},
    "HTDemucsTF": {**TRANSFORMER, "t_sin_random_shift": 7},
}


def made(name: str, seed: int = 0, **changes: Any) -> Any:
    keras.utils.set_random_seed(seed)
    arguments = {"samplerate": 8000, "segment": 0.5, **ARGUMENTS[name], **changes}
    return getattr(demucs_tf, name)(SOURCES, **arguments)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with keep_graphs(tmp_path / "graphs"):
        yield tmp_path / "graphs"


def in_a_new_process(path: Path, **settings: Any) -> Separator:
    """A separator where no graph is in memory."""
    engine._graphs.clear()
    return Separator(path, seed=0, **settings)


def separated(separator: Separator) -> np.ndarray[Any, Any]:
    _, stems = separator.separate_tensor(MIX, 8000)
    return np.stack([stems[name] for name in separator.stems])


def _members(separator: Separator) -> list[Any]:
    bag = separator.model
    assert isinstance(bag, demucs_tf.BagOfModels)
    return bag.models


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float32") for name in ARGUMENTS), ("DemucsTF", "float64")]
)
def test_no_run_needs_values_in_layers_and_the_second_none_and_gives_the_same_bits(
    name: str, dtype: str, tmp_path: Path
) -> None:
    path = tmp_path / "it.safetensors"
    demucs_tf.save_model(made(name), path)
    first = in_a_new_process(path, dtype=dtype)
    assert isinstance(first.model, BareModel)
    wanted = separated(first)
    assert first.model._model is None  # what was traced had no values
    second = in_a_new_process(path, dtype=dtype)
    assert isinstance(second.model, BareModel)
    assert np.array_equal(separated(second), wanted)
    assert second.model._model is second.model._outline is None  # no layer was made
    plain = Separator(demucs_tf.load_model(path, dtype=dtype), seed=0)
    assert np.array_equal(separated(plain), wanted)


def test_weights_are_where_a_session_takes_them_without_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    demucs_tf.save_model(made("HTDemucsTF"), path)
    model = in_a_new_process(path).model
    assert isinstance(model, BareModel)
    weights = model.weights()
    assert len(weights) > 100
    for weight in weights:  # what begins elsewhere, TensorFlow copies in every pass
        assert weight.flags.c_contiguous
        assert weight.ctypes.data % 64 == 0


def test_a_processor_that_is_named_needs_no_layers_either(tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    demucs_tf.save_model(made("DemucsTF"), path)
    wanted = separated(in_a_new_process(path))
    named = in_a_new_process(path, device="cpu")
    assert isinstance(named.model, BareModel)
    assert np.array_equal(separated(named), wanted)


@pytest.mark.parametrize("settings", [{"engine": "eager"}, {"segment": 0.3}])
def test_layers_are_made_where_no_graph_is_kept(settings: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    demucs_tf.save_model(made("HTDemucsTF"), path)
    separated(in_a_new_process(path))
    second = in_a_new_process(path)
    assert isinstance(second.model, BareModel)
    second.update_parameter(**settings)
    plain = Separator(demucs_tf.load_model(path), seed=0, **settings)
    np.testing.assert_allclose(separated(second), separated(plain), rtol=0, atol=1e-6)


def test_members_of_a_bag_share_a_graph_and_take_its_segment(tmp_path: Path) -> None:
    for seed in (1, 2):
        demucs_tf.save_model(made("DemucsTF", seed), tmp_path / f"m{seed}.safetensors")
    bag = tmp_path / "bag.yaml"
    bag.write_text("models: [m1, m2]\nsegment: 0.4\nweights: [[1, 0], [0.25, 1]]\n")
    wanted = separated(in_a_new_process(bag, shifts=0))
    second = in_a_new_process(bag, shifts=0)
    assert all(isinstance(model, BareModel) for model in _members(second))
    assert {float(model.segment) for model in _members(second)} == {0.4}
    assert np.array_equal(separated(second), wanted)
    assert len(engine._graphs) == 1


@pytest.mark.parametrize("runs_before", [0, 1])
def test_what_does_not_fit_is_told_as_ever(runs_before: int, tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    demucs_tf.save_model(made("DemucsTF"), path)
    for _ in range(runs_before):
        separated(in_a_new_process(path))
    weights, about = _read(path)
    weights.pop("encoder.0.0.bias")
    save_file(weights, path, about)
    with pytest.raises(CheckpointError, match=r"missing weights: encoder\.0\.0\.bias"):
        in_a_new_process(path)


def test_nothing_is_outlined_that_is_far_larger_than_its_file(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    demucs_tf.save_model(made("DemucsTF"), path)
    weights, about = _read(path)
    kwargs = json.loads(about["kwargs"])
    save_file(weights, path, {**about, "kwargs": json.dumps({**kwargs, "channels": 8192})})
    with pytest.raises(CheckpointError, match="describe a model of more than"):
        in_a_new_process(path)
    assert not folder.exists()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    with safe_open(path, "np") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


@pytest.mark.parametrize("damage", [b"", b"\x00" * 40])
def test_damaged_places_are_made_anew(damage: bytes, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    demucs_tf.save_model(made("DemucsTF"), path)
    wanted = separated(in_a_new_process(path))
    (places,) = folder.glob("*.places")
    whole = places.read_bytes()
    places.write_bytes(damage)
    second = in_a_new_process(path)
    assert np.array_equal(separated(second), wanted)
    assert places.read_bytes() == whole


def test_configurations_say_what_models_say() -> None:
    """Lengths and random shifts, which a model without layers has from its configuration."""
    for name in ARGUMENTS:
        for changes in ({}, {"segment": Fraction(1, 3)}, {"use_train_segment": False}):
            if "use_train_segment" in changes and name != "HTDemucsTF":
                continue
            model = made(name, **changes)
            config = model.config
            assert config.port == name
            for length in (1, 100, 2000):
                own = getattr(model, "valid_length", int)(length)
                assert config.valid_length(length) == own
            if name == "HTDemucsTF":
                assert config.training_length == model.training_length
                drawn = [each.draw_shift(random.Random(3)) for each in (model, config)]
                assert drawn[0] == drawn[1] > 0
    assert {CONFIGS[name].port for name in PORTS} == set(ARGUMENTS)
    assert all(port.__name__ == CONFIGS[name].port for name, port in PORTS.items())


def test_the_command_needs_little_of_tensorflow_when_a_graph_is_kept(tmp_path: Path) -> None:
    model, song = tmp_path / "it.safetensors", tmp_path / "song.wav"
    demucs_tf.save_model(made("DemucsTF"), model)
    demucs_tf.save_audio(MIX, song, 8000)
    code = (
        "import sys\n"
        "from demucs_tf.cli.main import main\n"
        "status = main()\n"
        "from demucs_tf.utils.quiet import is_whole\n"
        "print('keras' in sys.modules, is_whole())\n"
        "sys.exit(status)\n"
    )
    stems, loaded = [], []
    for run in ("first", "second"):
        out = tmp_path / run
        told = subprocess.run(
            [sys.executable, "-c", code, "separate", song, "-n", model, "-o", out, "--seed", "0"],
            env={**os.environ, "DEMUCS_TF_CACHE": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        loaded.append(told.stdout.splitlines()[-1])
        stems.append([path.read_bytes() for path in sorted(out.rglob("*.wav"))])
    assert loaded == ["True True", "False False"]
    assert stems[0] == stems[1]
    assert len(stems[0]) == 2
