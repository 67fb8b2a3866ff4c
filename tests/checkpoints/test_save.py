"""save_model: what it writes is read back, by us and by the reference, to the same model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demucs_tf
from demucs_tf.checkpoints.save import save_model
from demucs_tf.checkpoints.weights import read_state
from demucs_tf.models.bag import BagOfModels
from parity.core.compare import compare
from parity.core.seeding import seed_module
from tests.audio.test_reader_writer import largest_file
from tests.checkpoints.test_load import music, small_model
from tests.checkpoints.test_load_hybrid import MIX, MODELS, model
from tests.support.headers import split


def same(found: Any, wanted: Any) -> None:
    """The same class, arguments, segment and weights, bit by bit."""
    assert type(found) is type(wanted)
    assert found.segment == wanted.segment
    assert isinstance(found.segment, Fraction) == isinstance(wanted.segment, Fraction)
    given, expected = found.get_config(), wanted.get_config()
    for name in ("name", "segment", "stft"):
        given.pop(name, None), expected.pop(name, None)
    assert given == expected
    state, wanted_state = read_state(found), read_state(wanted)
    assert list(state) == list(wanted_state)
    for key, array in wanted_state.items():
        np.testing.assert_array_equal(state[key], array, strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "suffix"), [*((name, ".safetensors") for name in MODELS), ("DemucsTF", ".keras")]
)
def test_what_is_saved_is_read_back(tmp_path: Path, name: str, suffix: str, dtype: str) -> None:
    port = model(name, dtype, segment=Fraction(39, 780))
    path = tmp_path / f"a{suffix}"
    save_model(port, path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    same(demucs_tf.load_model(path, dtype=dtype), port)


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
@pytest.mark.parametrize("segment", [11, 2.5, Fraction(1, 3)])
def test_a_segment_that_was_overridden_is_kept(tmp_path: Path, suffix: str, segment: Any) -> None:
    port = small_model()
    port.segment = segment
    save_model(port, tmp_path / f"a{suffix}")
    same(demucs_tf.load_model(tmp_path / f"a{suffix}"), port)
    assert demucs_tf.load_model(tmp_path / f"a{suffix}").segment == segment


def test_the_metadata_are_those_of_the_reference(tmp_path: Path) -> None:
    save_model(model("HDemucsTF", stft="dft"), tmp_path / "a.safetensors")
    header, _ = split((tmp_path / "a.safetensors").read_bytes())
    texts = header["__metadata__"]
    assert list(texts) == ["args", "klass", "kwargs"]
    assert texts["klass"] == "demucs.hdemucs.HDemucs"
    assert json.loads(texts["args"]) == []
    kwargs = json.loads(texts["kwargs"])
    assert kwargs["segment"] == {"_type": "fraction", "numerator": 1, "denominator": 20}
    assert kwargs["sources"] == ["a", "b"]
    assert kwargs["multi_freqs"] == [0.2, 0.5]
    assert not kwargs.keys() & {"stft", "dtype", "kwargs", "name"}


def test_numbers_of_numpy_among_the_arguments(tmp_path: Path) -> None:
    port = demucs_tf.DemucsTF(
        ["a"], channels=np.int64(4), depth=1, growth=np.float32(1.5), segment=np.float64(3)
    )
    save_model(port, tmp_path / "a.safetensors")
    loaded = demucs_tf.load_model(tmp_path / "a.safetensors")
    assert (loaded.segment, loaded.get_config()["channels"]) == (3, 4)
    assert loaded.get_config()["growth"] == 1.5


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    port = small_model()
    contents = set()
    for number in range(8):  # the library writes the metadata in a random order
        path = tmp_path / f"{number}.safetensors"
        save_model(port, path)
        contents.add(path.read_bytes())
    assert len(contents) == 1


@pytest.mark.skipif(os.name == "nt", reason="files have no such mode there")
@pytest.mark.parametrize("name", ["saved.safetensors", "saved.keras", "saved.yaml"])
def test_who_may_read_new_files_may_read_these(tmp_path: Path, name: str) -> None:
    before = os.umask(0o022)
    try:
        save_model(
            BagOfModels([small_model()]) if name.endswith("yaml") else small_model(),
            tmp_path / name,
        )
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o644}, modes


@pytest.mark.parametrize("suffix", [".th", ".pt", ".h5", "", ".SAFETENSORS"])
def test_other_suffixes_are_refused_with_what_is_offered(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ValueError, match=r"writes \.safetensors .*, \.keras, or, .* \.yaml"):
        save_model(small_model(), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


def test_something_else_than_a_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes one of our models, got a dict"):
        save_model({}, tmp_path / "a.safetensors")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [float("inf"), object(), "8", 0, 3600])
def test_no_model_gets_a_segment_that_could_not_be_read_again(value: Any) -> None:
    port = small_model()
    with pytest.raises(ValueError, match=r"segment must be a positive number|3600 s at 44100 Hz"):
        port.segment = value
    assert port.segment == 40


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_a_segment_that_is_a_whole_fraction(tmp_path: Path, suffix: str) -> None:
    port = small_model()
    port.segment = Fraction(8)
    save_model(port, tmp_path / f"a{suffix}")
    found = demucs_tf.load_model(tmp_path / f"a{suffix}").segment
    assert (found, type(found)) == (8, Fraction)


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_a_model_that_was_trained_by_keras(tmp_path: Path, suffix: str) -> None:
    """A compiled model's file has its optimizer too, of which one number is an integer."""
    port = small_model()
    mix = music(1500)
    port.compile(optimizer="adam", loss="mae")
    port.train_on_batch(mix, np.zeros_like(np.asarray(port(mix))))
    save_model(port, tmp_path / f"a{suffix}")
    same(demucs_tf.load_model(tmp_path / f"a{suffix}"), port)


@pytest.mark.parametrize("suffix", [".safetensors", ".keras", ".yaml"])
def test_a_full_disk(tmp_path: Path, suffix: str) -> None:
    with largest_file(4000), pytest.raises(OSError, match="File too large"):
        save_model(small_model(), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_a_failure_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        save_model(small_model(), path)
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_model(small_model(), tmp_path / "none" / "a.safetensors")


# Bags


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_a_bag_of_one_is_saved_as_that_model(tmp_path: Path, suffix: str) -> None:
    port = small_model()
    save_model(BagOfModels([port], [[2.0, 3.0]], segment=7), tmp_path / f"a{suffix}")
    loaded = demucs_tf.load_model(tmp_path / f"a{suffix}")
    same(loaded, port)
    assert loaded.segment == 7


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_a_bag_of_several_is_not_one_file(tmp_path: Path, suffix: str) -> None:
    bag = BagOfModels([small_model(), small_model()])
    with pytest.raises(ValueError, match=r"a bag of 2: save it as mine\.yaml"):
        save_model(bag, tmp_path / f"mine{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_bag_is_read_back(tmp_path: Path) -> None:
    first, second = small_model(), small_model()
    second.segment = Fraction(39, 5)
    rows = [[1.0, 0.1], [0.0, 1e-05], [1 / 3, 2.0]]
    save_model(BagOfModels([first, second, first], rows), tmp_path / "mine.yaml")
    assert len(list(tmp_path.iterdir())) == 3  # one member is there twice
    loaded = demucs_tf.load_model(tmp_path / "mine.yaml")
    assert isinstance(loaded, BagOfModels)
    assert loaded.weights == rows
    for found, wanted in zip(loaded.models, [first, second, first], strict=True):
        same(found, wanted)


def test_a_model_as_a_bag(tmp_path: Path) -> None:
    port = small_model()
    save_model(port, tmp_path / "mine.yaml")
    loaded = demucs_tf.load_model("mine", repo=tmp_path)
    assert loaded.weights == [[1.0, 1.0]]
    same(loaded.models[0], port)


# Against the reference


def written_by_the_reference(path: Path, name: str) -> Any:
    """A `.th` package; returns the reference's module."""
    import importlib

    import torch
    from demucs import states
    from omegaconf import OmegaConf

    cls = getattr(importlib.import_module(f"demucs.{name.lower()}"), name)
    module = cls(**MODELS[f"{name}TF"]).eval()
    seed_module(module, 1)
    torch.save(states.serialize_model(module, OmegaConf.create({}), half=False), path)
    return module


@pytest.mark.live
@pytest.mark.parametrize("name", ["Demucs", "HDemucs", "HTDemucs"])
def test_from_torch_to_tensorflow_and_back(tmp_path: Path, name: str) -> None:
    """`.th` by the reference, ours, `.safetensors` by us, the reference's own loader."""
    import torch
    from demucs import hf

    module = written_by_the_reference(tmp_path / "a.th", name)
    save_model(demucs_tf.load_model(tmp_path / "a.th"), tmp_path / "a.safetensors")
    back = hf.load_safetensors_model(tmp_path / "a.safetensors").eval()
    assert type(back) is type(module)
    assert back.segment == module.segment
    assert isinstance(back.segment, Fraction)
    state = back.state_dict()
    assert list(state) == list(module.state_dict())
    for key, value in module.state_dict().items():
        assert torch.equal(state[key], value), key
    mix = torch.from_numpy(MIX)
    with torch.no_grad():
        assert torch.equal(back(mix), module(mix))


@pytest.mark.live
def test_a_model_in_float64_goes_to_the_reference(tmp_path: Path) -> None:
    from demucs import hf

    port = small_model("float64")
    save_model(port, tmp_path / "a.safetensors")
    header, _ = split((tmp_path / "a.safetensors").read_bytes())
    assert {v["dtype"] for k, v in header.items() if k != "__metadata__"} == {"F64"}
    back = hf.load_safetensors_model(tmp_path / "a.safetensors")
    for key, value in back.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), read_state(port)[key].astype(np.float32))


def _step_demucs() -> tuple[Any, np.ndarray]:
    return small_model(), music(1500)


def _step_htdemucs() -> tuple[Any, np.ndarray]:
    return model("HTDemucsTF", t_layers=1), MIX


@pytest.mark.live
@pytest.mark.parametrize("make", [_step_demucs, _step_htdemucs])
def test_fine_tuned_in_tensorflow_and_back_in_pytorch(
    tmp_path: Path, make: Callable[[], tuple[Any, np.ndarray]]
) -> None:
    import keras
    import tensorflow as tf
    import torch
    from demucs import hf

    port, mix = make()
    before = read_state(port)
    target = np.random.default_rng(4).standard_normal(port(mix).shape).astype(np.float32)
    optimizer = keras.optimizers.SGD(0.05)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(port(mix, training=True) - target))
    gradients = tape.gradient(loss, port.trainable_variables)
    optimizer.apply_gradients(zip(gradients, port.trainable_variables, strict=True))
    after = read_state(port)
    changed = sum(not np.array_equal(before[key], after[key]) for key in before)
    assert changed > len(before) // 2
    save_model(port, tmp_path / "tuned.safetensors")
    module = hf.load_safetensors_model(tmp_path / "tuned.safetensors").eval()
    with torch.no_grad():
        wanted = module(torch.from_numpy(mix)).numpy()
    difference = compare(np.asarray(port(mix)), wanted, tolerance=1e-5)  # an SNR of 100 dB
    assert difference.passed, difference
