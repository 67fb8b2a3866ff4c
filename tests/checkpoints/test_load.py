"""load_model: from files to models that give what they should."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demucs_tf
from demucs_tf.checkpoints.assemble import READERS
from demucs_tf.checkpoints.weights import load_state, read_state
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from demucs_tf.layers.base import blank_weights
from parity.core.compare import compare
from tests.support.pickles import dict_of, integer, list_of, package, storage, tensor, text, write

SMALL: dict[str, Any] = {"channels": 4, "depth": 2, "lstm_layers": 1, "resample": False}


def small_model(dtype: str = "float32") -> Any:
    return demucs_tf.DemucsTF(["a", "b"], **SMALL, dtype=dtype)


def write_package(path: Path, state: Mapping[str, np.ndarray], /, **changes: bytes) -> Path:
    """A `.th` file with these weights and the arguments of `small_model`, made by hand."""
    entries, tensors = {"byteorder": b"little"}, {}
    for index, (key, array) in enumerate(state.items()):
        entries[f"data/{index}"] = array.astype("<f4").tobytes()
        stride = tuple(int(step) // array.itemsize for step in array.strides)
        tensors[key] = tensor(storage(str(index), array.size), array.shape, stride)
    kwargs = dict_of(
        sources=list_of(text("a"), text("b")),
        **{key: integer(value) for key, value in SMALL.items()},
    )
    parts = {"kwargs": kwargs, "state": dict_of(**tensors), **changes}
    return write(path, package(**parts), entries)


def music(length: int = 4001, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((1, channels, length)).astype(np.float32)


# Without the reference


def test_a_package_made_by_hand_gives_the_same_model(tmp_path: Path) -> None:
    model = small_model()
    path = write_package(tmp_path / "a.th", read_state(model))
    loaded = demucs_tf.load_model(path)
    assert isinstance(loaded, demucs_tf.DemucsTF)
    assert loaded.sources == ["a", "b"]
    np.testing.assert_array_equal(loaded(music()), model(music()))
    strict = demucs_tf.load_model(str(path), dtype="float64")
    assert {str(variable.dtype) for variable in strict.variables} == {"float64"}


def test_missing_extra_and_misshapen_weights_are_one_error(tmp_path: Path) -> None:
    state = read_state(small_model())
    state["bottleneck.weight"] = np.zeros(3, np.float32)
    del state["encoder.1.0.bias"]
    state["decoder.0.0.bias"] = np.zeros(7, np.float32)
    path = write_package(tmp_path / "a.th", state)
    with pytest.raises(CheckpointError) as caught:
        demucs_tf.load_model(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    for wanted in (
        "missing weights: encoder.1.0.bias",
        "no place for: bottleneck.weight",
        "decoder.0.0.bias: expected (16,), found (7,)",
    ):
        assert wanted in message


def test_an_unknown_argument_is_dropped_with_a_warning_that_points_at_the_caller(
    tmp_path: Path,
) -> None:
    model = small_model()
    kwargs = dict_of(
        sources=list_of(text("a"), text("b")),
        old_option=integer(1),
        dtype=text("float16"),  # not one of the reference's either
        **{key: integer(value) for key, value in SMALL.items()},
    )
    path = write_package(tmp_path / "a.th", read_state(model), kwargs=kwargs)
    with pytest.warns(UserWarning, match="Dropping .*: old_option, dtype") as caught:
        loaded = demucs_tf.load_model(path)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(loaded(music()), model(music()))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"depth": integer(2**40)}, "depth must be at most 16"),
        ({"lstm_layers": integer(16)}, "describe a model of more than"),
        ({"channels": integer(8192)}, "describe a model of more than"),
        ({"kernel_size": integer(2**40)}, "kernel_size must be at most 256"),
        ({"growth": integer(10**9)}, "growth must be from 0 to 16"),
        ({"channels": text("four")}, "can't be made from its constructor arguments"),
        ({"sources": integer(3)}, "can't be made from its constructor arguments"),
        ({"depth": b"N"}, "can't be made from its constructor arguments"),
        ({"channels": integer(8)}, "weights of another shape"),
        ({"sources": list_of(text("a"))}, "weights of another shape"),
    ],
)
def test_arguments_that_do_not_belong_to_the_weights(
    tmp_path: Path, changes: dict[str, bytes], match: str
) -> None:
    sound = {
        "sources": list_of(text("a"), text("b")),
        **{key: integer(value) for key, value in SMALL.items()},
    }
    kwargs = dict_of(**(sound | changes))
    path = write_package(tmp_path / "a.th", read_state(small_model()), kwargs=kwargs)
    with pytest.raises(CheckpointError, match=match):
        demucs_tf.load_model(path)


def test_too_many_or_too_few_arguments(tmp_path: Path) -> None:
    for kwargs in (b"}", dict_of(channels=integer(4))):
        path = write(tmp_path / "a.th", package(kwargs=kwargs))
        with pytest.raises(CheckpointError, match=r"do not fit: missing .*sources"):
            demucs_tf.load_model(path)
    path = write(tmp_path / "a.th", package(args=b"(" + b"N" * 40 + b"t", kwargs=b"}"))
    with pytest.raises(CheckpointError, match="do not fit: too many"):
        demucs_tf.load_model(path)


def test_missing_and_other_files(tmp_path: Path) -> None:
    for suffix in (".th", ".safetensors", ".keras"):
        with pytest.raises(ModelNotFoundError, match="no such file"):
            demucs_tf.load_model(tmp_path / f"none{suffix}")
        with pytest.raises(ModelNotFoundError, match="no such file"):
            READERS[suffix](tmp_path / f"none{suffix}", "float32")
    for suffix in (".wav", ""):
        path = tmp_path / f"there{suffix}"
        path.write_bytes(b"x")
        with pytest.raises(CheckpointError, match=r"wanted a file of the kinds \.th"):
            demucs_tf.load_model(path)
    with pytest.raises(ValueError, match='dtype must be "float32" or "float64"'):
        demucs_tf.load_model(tmp_path / "a.th", dtype="float16")


# .keras files


@pytest.fixture(name="saved")
def _saved(tmp_path: Path) -> tuple[Any, Path]:
    model, path = small_model(), tmp_path / "model.keras"
    model.save(path)
    return model, path


def test_a_keras_file_is_read_bitwise(saved: tuple[Any, Path]) -> None:
    model, path = saved
    loaded = demucs_tf.load_model(path)
    assert isinstance(loaded, demucs_tf.DemucsTF)
    np.testing.assert_array_equal(loaded(music()), model(music()))


def test_a_keras_file_in_the_other_dtype(saved: tuple[Any, Path]) -> None:
    model, path = saved
    loaded = demucs_tf.load_model(path, dtype="float64")
    assert loaded.compute_dtype == "float64"
    for key, array in read_state(loaded).items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, read_state(model)[key].astype(np.float64))


def test_a_fraction_as_segment_survives_a_keras_file(tmp_path: Path) -> None:
    model = demucs_tf.DemucsTF(["a"], **SMALL, segment=Fraction(39, 5))
    model.save(tmp_path / "a.keras")
    assert demucs_tf.load_model(tmp_path / "a.keras").segment == Fraction(39, 5)


def rewrite(path: Path, change: Any) -> None:
    """Change the configuration inside a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    content["config.json"] = json.dumps(change(config) or config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_a_keras_file_of_another_class(tmp_path: Path) -> None:
    import keras

    path = tmp_path / "other.keras"
    keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)]).save(path)
    with pytest.raises(CheckpointError, match=r"wanted a saved demucs_tf>DemucsTF, .*found .*Seq"):
        demucs_tf.load_model(path)


def _nest_a_function(config: dict[str, Any]) -> None:
    config["config"]["sources"] = {
        "module": "os",
        "class_name": "function",
        "config": "system",
        "registered_name": "system",
    }


def _nest_deeper(config: dict[str, Any]) -> None:
    config["config"]["sources"] = [{"class_name": "__lambda__", "config": {"value": "x"}}]


def _add_layers(config: dict[str, Any]) -> None:
    config["config"]["layers"] = []


def _rename(config: dict[str, Any]) -> None:
    config["registered_name"] = None


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_nest_a_function, "sources is not plain data"),
        (_nest_deeper, "sources is not plain data"),
        (_add_layers, "not that of a DemucsTF"),
        (_rename, "wanted a saved demucs_tf>DemucsTF"),
        (lambda config: [config], "no object"),
    ],
)
def test_a_tampered_keras_file(saved: tuple[Any, Path], change: Any, match: str) -> None:
    _, path = saved
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=match):
        demucs_tf.load_model(path)


def test_a_keras_file_whose_weights_do_not_fit(saved: tuple[Any, Path]) -> None:
    _, path = saved
    rewrite(path, lambda config: config["config"].update(channels=8))
    with pytest.raises(CheckpointError, match="Keras can't read the model"):
        demucs_tf.load_model(path)


def test_a_keras_file_with_nan(tmp_path: Path) -> None:
    model = small_model()
    model.variables[0].assign(np.full(model.variables[0].shape, np.nan))
    model.save(tmp_path / "a.keras")
    with pytest.raises(CheckpointError, match="weights with NaN or Inf"):
        demucs_tf.load_model(tmp_path / "a.keras")


def test_a_truncated_keras_file(saved: tuple[Any, Path]) -> None:
    _, path = saved
    whole = path.read_bytes()
    for part in (0, 1, 3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:part])
        with pytest.raises(CheckpointError, match=r"\.keras"):
            demucs_tf.load_model(path)


# Against the reference

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "plain": {"channels": 8, "depth": 3},
    "all": {
        "channels": 8,
        "depth": 5,
        "lstm_layers": 1,
        "dconv_mode": 3,
        "dconv_attn": 3,
        "dconv_lstm": 3,
        "norm_starts": 2,
    },
    "v2": {
        "channels": 8,
        "depth": 3,
        "dconv_mode": 0,
        "gelu": False,
        "lstm_layers": 2,
        "normalize": False,
    },
    "mono": {"channels": 4, "depth": 2, "audio_channels": 1, "segment": Fraction(39, 5)},
}


@pytest.mark.live
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", list(CONFIGURATIONS))
def test_what_the_reference_saves_gives_what_it_gives(
    tmp_path: Path, name: str, half: bool
) -> None:
    import torch
    from demucs import states
    from demucs.demucs import Demucs
    from omegaconf import OmegaConf

    torch.manual_seed(5)
    model = Demucs(["a", "b", "c"], **CONFIGURATIONS[name])
    with torch.no_grad():  # LayerScale starts at 1e-4, which would hide the branches
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    saved = states.serialize_model(model, OmegaConf.create({}), half=half)
    if name == "v2":
        for key in list(saved["state"]):
            layer = key.split(".")
            if layer[2] == "3" and layer[0] in ("encoder", "decoder"):
                old = ".".join([*layer[:2], "2", *layer[3:]])
                if old not in saved["state"]:
                    saved["state"][old] = saved["state"].pop(key)
        assert "encoder.0.2.weight" in saved["state"]
        assert "encoder.0.3.weight" not in saved["state"]
    torch.save(saved, tmp_path / "a.th")
    reference = states.load_model(tmp_path / "a.th").eval()  # half precision widened by it
    mix = music(9001, CONFIGURATIONS[name].get("audio_channels", 2))
    with torch.no_grad():
        wanted = reference(torch.from_numpy(mix)).numpy()
    found = np.asarray(demucs_tf.load_model(tmp_path / "a.th")(mix))
    difference = compare(found, wanted, tolerance=1e-5)  # an SNR of 100 dB
    assert difference.passed, difference


@pytest.mark.parametrize("shape", [(), (6,), (1, 2, 3, 4, 5)])
def test_weights_with_another_number_of_axes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Of a layer over two axes, whose weights are transposed."""
    from demucs_tf.models.presets import build

    with blank_weights():
        port = build("htdemucs", channels=4, bottom_channels=8, t_layers=0, dconv_comp=2)
    state = read_state(port)
    key = next(key for key, array in state.items() if array.ndim == 4)
    with pytest.raises(CheckpointError, match=rf"weights of another shape: {key}: expected \("):
        load_state(port, {**state, key: np.zeros(shape, np.float32)})


@pytest.mark.parametrize("name", ["x" * 300 + ".th", "x" * 300 + ".yaml", "a\0b.th"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="it can't be opened"):
        demucs_tf.load_model(name)


@pytest.mark.parametrize("repo", ["a\0b", "x" * 300])
def test_folders_that_are_none(repo: str) -> None:
    with pytest.raises(ModelNotFoundError, match="wanted a folder of models"):
        demucs_tf.load_model("mine", repo=repo)
