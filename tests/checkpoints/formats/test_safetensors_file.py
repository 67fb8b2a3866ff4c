"""Checkpoints as demucs 4.1 publishes them: what is read, and what is said about bad ones.

Hostile ones are in `hostile/`, those that diffq packed in `test_diffq.py`.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demucs_tf
from demucs_tf.checkpoints.formats.safetensors_file import read_safetensors
from demucs_tf.checkpoints.formats.untrusted import CLASSES
from demucs_tf.checkpoints.weights import read_state
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from parity.core.compare import compare
from tests.checkpoints.test_load import CONFIGURATIONS, SMALL, music, small_model
from tests.checkpoints.test_load_hybrid import MIX, MODELS
from tests.support.headers import join, pack, split

KWARGS = {"sources": ["a", "b"], **SMALL}


def metadata(**changes: Any) -> dict[str, str]:
    texts = {"klass": "demucs.demucs.Demucs", "args": "[]", "kwargs": json.dumps(KWARGS)}
    return {**texts, **changes}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture(name="port", scope="module")
def _port() -> Any:
    return small_model()


def test_a_file_made_by_hand_gives_the_same_model(tmp_path: Path, port: Any) -> None:
    path = write(tmp_path / "a.safetensors", pack(metadata(), read_state(port)))
    loaded = demucs_tf.load_model(path)
    assert isinstance(loaded, demucs_tf.DemucsTF)
    np.testing.assert_array_equal(loaded(music()), port(music()))
    strict = demucs_tf.load_model(path, dtype="float64")
    assert {str(variable.dtype) for variable in strict.variables} == {"float64"}


@pytest.mark.parametrize("klass", CLASSES)
def test_the_four_classes_are_named_and_not_imported(tmp_path: Path, klass: str) -> None:
    content = pack(metadata(klass=klass), {"w": np.zeros(2, np.float32)})
    before = set(sys.modules)
    assert read_safetensors(write(tmp_path / "a.safetensors", content)).klass == klass
    assert not {m for m in set(sys.modules) - before if m.startswith(("demucs.", "torch"))}


@pytest.mark.parametrize(
    ("name", "dtype", "wanted"),
    [
        ("F64", "f8", "f8"),
        ("F32", "f4", "f4"),
        ("F16", "f2", "f4"),
        ("I64", "i8", "i8"),
        ("I32", "i4", "i4"),
        ("I16", "i2", "i2"),
        ("I8", "i1", "i1"),
        ("U8", "u1", "u1"),
        ("BOOL", "?", "?"),
    ],
)
def test_element_types(tmp_path: Path, name: str, dtype: str, wanted: str) -> None:
    values = np.array([[0, 1, 1], [0, 1, 1]]).astype(dtype)
    if dtype[0] == "f":
        values = np.array([[0.1, -0.2, 65504], [6e-8, -0.0, 1]]).astype(dtype)
    content = pack(metadata(), {"w": (name, values)})
    state = read_safetensors(write(tmp_path / "a.safetensors", content)).state
    assert isinstance(state, dict)
    assert state["w"].dtype == np.dtype(wanted)
    assert state["w"].tobytes() == values.astype(wanted).tobytes()


def test_half_precision_is_kept_for_who_copies_it(tmp_path: Path) -> None:
    values = np.array([[0.1, -0.2, 65504], [6e-8, -0.0, 1]], "f2")
    path = write(tmp_path / "a.safetensors", pack(metadata(), {"w": ("F16", values)}))
    state = read_safetensors(path, keep_half=True).state
    assert isinstance(state, dict)
    np.testing.assert_array_equal(state["w"], values, strict=True)


def test_bfloat16_is_widened_exactly(tmp_path: Path) -> None:
    values = np.array([[1.0, -2.5, 3.140625], [0.0, 1e30, -1.5]], np.float32)
    values = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    bits = (values.view(np.uint32) >> 16).astype("<u2")
    content = pack(metadata(), {"w": ("BF16", bits)})
    state = read_safetensors(write(tmp_path / "a.safetensors", content)).state
    assert isinstance(state, dict)
    np.testing.assert_array_equal(state["w"], values, strict=True)


def test_arguments_of_every_kind(tmp_path: Path) -> None:
    half = {"_type": "fraction", "numerator": 39, "denominator": 5}
    given = {"segment": half, "list": [1, half, [2.5]], "d": {"a": None, "b": True}, "text": "é"}
    content = pack(metadata(args=json.dumps([["a"], half]), kwargs=json.dumps(given)), {})
    found = read_safetensors(write(tmp_path / "a.safetensors", content))
    assert found.args == (["a"], Fraction(39, 5))
    assert found.kwargs == {
        "segment": Fraction(39, 5),
        "list": [1, Fraction(39, 5), [2.5]],
        "d": {"a": None, "b": True},
        "text": "é",
    }


def test_a_structure_of_a_state_that_is_not_packed(tmp_path: Path, port: Any) -> None:
    """The reference loads it as it is."""
    state = read_state(port)
    tree = {"_dict": [[key, {"_tensor": f"state.{key}"}] for key in state]}
    tensors = {f"state.{key}": value for key, value in state.items()}
    content = pack(metadata(structure=json.dumps(tree)), tensors)
    loaded = demucs_tf.load_model(write(tmp_path / "a.safetensors", content))
    np.testing.assert_array_equal(loaded(music()), port(music()))


def test_an_unknown_argument_is_dropped_with_a_warning_that_points_at_the_caller(
    tmp_path: Path, port: Any
) -> None:
    kwargs = json.dumps({**KWARGS, "old_option": 1, "dtype": "float16", "\x1b[2J": 2})
    path = write(tmp_path / "a.safetensors", pack(metadata(kwargs=kwargs), read_state(port)))
    with pytest.warns(UserWarning, match=r"Dropping .*: old_option, dtype, \\x1b\[2J$") as caught:
        loaded = demucs_tf.load_model(path)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(loaded(music()), port(music()))


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["klass"], "klass"),
        (["args", "kwargs"], "args, kwargs"),
        (["klass", "args", "kwargs"], "klass, args, kwargs"),
    ],
)
def test_missing_metadata_are_named(tmp_path: Path, missing: list[str], named: str) -> None:
    texts = {key: value for key, value in metadata().items() if key not in missing}
    path = write(tmp_path / "a.safetensors", pack(texts, {"w": np.zeros(2, np.float32)}))
    with pytest.raises(CheckpointError, match=f"a.safetensors: its metadata lack {named}: weights"):
        read_safetensors(path)
    if len(missing) == 3:
        path.write_bytes(pack(None, {"w": np.zeros(2, np.float32)}))
        with pytest.raises(CheckpointError, match="its metadata lack klass, args, kwargs"):
            read_safetensors(path)


def test_missing_extra_and_misshapen_weights_are_one_error(tmp_path: Path, port: Any) -> None:
    state = dict(read_state(port))
    state["bottleneck.weight"] = np.zeros(3, np.float32)
    del state["encoder.1.0.bias"]
    state["decoder.0.0.bias"] = np.zeros(7, np.float32)
    state["decoder.0.3.bias"] = state["decoder.0.3.bias"].astype(np.int64)
    path = write(tmp_path / "a.safetensors", pack(metadata(), state))
    with pytest.raises(CheckpointError) as caught:
        demucs_tf.load_model(path)
    for wanted in (
        f"{path}: The checkpoint does not fit DemucsTF: ",
        "missing weights: encoder.1.0.bias",
        "no place for: bottleneck.weight",
        "decoder.0.0.bias: expected (16,), found (7,)",
        "decoder.0.3.bias: expected floating point, found int64",
    ):
        assert wanted in str(caught.value)


def test_no_file_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no such file"):
        read_safetensors(tmp_path / "none.safetensors")
    for content in (b"", b"PK\x03\x04", b"hello, this is no checkpoint"):
        path = write(tmp_path / "a.safetensors", content)
        with pytest.raises(CheckpointError, match=r"empty|wanted a safetensors file"):
            read_safetensors(path)


def test_the_helpers_of_these_tests_write_what_the_library_reads() -> None:
    from safetensors.numpy import load

    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(1, np.uint8)}
    content = pack({"klass": "x"}, tensors)
    found = load(content)
    for key, value in tensors.items():
        np.testing.assert_array_equal(found[key], value, strict=True)
    header, data = split(content)
    assert join(header, data) == content


# Against the reference


@pytest.mark.live
@pytest.mark.parametrize("half", [False, True], ids=["whole", "half"])
@pytest.mark.parametrize("name", ["Demucs", "Demucs v2", "HDemucs", "HTDemucs"])
def test_what_the_reference_publishes_gives_what_it_gives(
    tmp_path: Path, name: str, half: bool
) -> None:
    """The layout of tools/export_hf.py, read by demucs's own loader and by ours."""
    import importlib

    import torch
    from demucs import hf, states
    from omegaconf import OmegaConf
    from safetensors.torch import save_file

    torch.manual_seed(5)
    name, _, version = name.partition(" ")
    cls = getattr(importlib.import_module(f"demucs.{name.lower()}"), name)
    options = (
        MODELS[f"{name}TF"] if name != "Demucs" else CONFIGURATIONS["v2" if version else "plain"]
    )
    module = cls(**{"sources": ["a", "b"], **options}).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    package = states.serialize_model(module, OmegaConf.create({}), half=half)
    texts = {
        "klass": f"demucs.{name.lower()}.{name}",
        "args": json.dumps(package["args"]),
        "kwargs": json.dumps(package["kwargs"], default=_fraction),
    }
    path = tmp_path / "a.safetensors"
    save_file({k: v.contiguous() for k, v in package["state"].items()}, path, metadata=texts)
    reference = hf.load_safetensors_model(path).eval()
    loaded = demucs_tf.load_model(path)
    assert loaded.segment == reference.segment
    state = read_state(loaded)
    for key, value in reference.state_dict().items():
        np.testing.assert_array_equal(state[key], value.numpy(), strict=True)
    if half:  # then nothing else can differ from the other case
        return
    mix = MIX if name != "Demucs" else music(2001)
    with torch.no_grad():
        wanted = reference(torch.from_numpy(mix)).numpy()
    difference = compare(np.asarray(loaded(mix)), wanted, tolerance=1e-5)  # an SNR of 100 dB
    assert difference.passed, difference


def _fraction(value: Fraction) -> dict[str, Any]:
    return {
        "_type": "fraction",
        "numerator": value.numerator,
        "denominator": value.denominator,
    }
