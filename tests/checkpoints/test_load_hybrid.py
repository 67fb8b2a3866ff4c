"""load_model for hybrid models: packages, `.keras` files, and arguments that are out of bounds."""

from __future__ import annotations

import importlib
import struct
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demucs_tf
from demucs_tf.checkpoints.weights import read_state
from demucs_tf.errors import CheckpointError
from parity.core.compare import compare
from parity.core.seeding import seed_module
from tests.checkpoints.test_load import rewrite, write_package
from tests.support import pickles
from tests.support.fakes import noise

H: dict[str, Any] = {
    "sources": ["a", "b"],
    "channels": 8,
    "nfft": 256,
    "depth": 4,
    "multi_freqs": [0.2, 0.5],
    "multi_freqs_depth": 1,
    "dconv_mode": 3,
    "segment": Fraction(1, 20),
}
HT: dict[str, Any] = {
    "sources": ["a", "b"],
    "channels": 8,
    "nfft": 256,
    "depth": 2,
    "bottom_channels": 16,
    "t_layers": 2,
    "t_heads": 2,
    "t_cape_glob_loc_scale": [5000.0, 1.0, 1.4],
    "segment": Fraction(39, 780),
}
DEMUCS: dict[str, Any] = {
    "sources": ["a"],
    "channels": 4,
    "depth": 2,
    "segment": Fraction(39, 5),
}
MODELS = {"DemucsTF": DEMUCS, "HDemucsTF": H, "HTDemucsTF": HT}
KLASSES = {
    "demucs.hdemucs.HDemucs": "HDemucsTF",
    "demucs.wdemucs.WDemucs": "HDemucsTF",
    "demucs.htdemucs.HTDemucs": "HTDemucsTF",
}
MIX = noise(1, 2, 1800)


def model(name: str, dtype: str = "float32", **changes: Any) -> Any:
    return getattr(demucs_tf, name)(**{**MODELS[name], **changes}, dtype=dtype)


@cache
def weights(name: str) -> tuple[Any, dict[str, Any]]:
    """A small model and its weights, made once."""
    port = model(name)
    return port, read_state(port)


def pickled(value: Any) -> bytes:
    """What a package has for a constructor argument."""
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    if isinstance(value, int):
        return pickles.integer(value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, Fraction):
        return pickles.call(pickles.named("fractions", "Fraction"), pickles.text(str(value)))
    if isinstance(value, str):
        return pickles.text(value)
    return pickles.list_of(*map(pickled, value))


def write_hybrid(path: Path, klass: str, **changes: Any) -> tuple[Any, Path]:
    """A package by hand, of a small model whose arguments are then changed."""
    port, state = weights(KLASSES[klass])
    arguments = {**MODELS[KLASSES[klass]], **changes}
    parts = {
        "klass": pickles.named(*klass.rsplit(".", 1)),
        "kwargs": pickles.dict_of(**{key: pickled(value) for key, value in arguments.items()}),
    }
    return port, write_package(path, state, **parts)


@pytest.mark.parametrize("klass", KLASSES)
def test_a_package_made_by_hand_gives_the_same_model(tmp_path: Path, klass: str) -> None:
    port, path = write_hybrid(tmp_path / "a.th", klass)
    loaded = demucs_tf.load_model(path)
    assert type(loaded).__name__ == KLASSES[klass]
    assert loaded.segment == MODELS[KLASSES[klass]]["segment"]
    np.testing.assert_array_equal(loaded(MIX), port(MIX))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_a_keras_file_is_read_bitwise(tmp_path: Path, name: str, dtype: str) -> None:
    port = model(name, dtype)
    port.save(tmp_path / "a.keras")
    loaded = demucs_tf.load_model(tmp_path / "a.keras", dtype=dtype)
    assert type(loaded) is type(port)
    assert loaded.get_config() == port.get_config()
    assert loaded.segment == MODELS[name]["segment"]
    assert isinstance(loaded.segment, Fraction)
    saved = read_state(port)
    for key, array in read_state(loaded).items():
        np.testing.assert_array_equal(array, saved[key], strict=True)
    other = {"float32": "float64", "float64": "float32"}[dtype]
    converted = demucs_tf.load_model(tmp_path / "a.keras", dtype=other)
    assert (converted.compute_dtype, converted.segment) == (other, port.segment)
    for key, array in read_state(converted).items():
        np.testing.assert_array_equal(array, saved[key].astype(other))


# Arguments out of bounds: (class, changes, what the message says)

TOO_LARGE = "they describe a model of more than .* weights, and the file holds"
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("htdemucs.HTDemucs", {"t_layers": 2**40}, "t_layers must be at most 64, got 1099511627776"),
    ("htdemucs.HTDemucs", {"t_layers": 60, "bottom_channels": 4096}, TOO_LARGE),
    ("htdemucs.HTDemucs", {"t_layers": 60}, TOO_LARGE),
    ("htdemucs.HTDemucs", {"bottom_channels": 8192}, TOO_LARGE),
    ("htdemucs.HTDemucs", {"t_hidden_scale": 1e12}, "t_hidden_scale must be from 0 to 64"),
    ("htdemucs.HTDemucs", {"t_emb": "scaled", "t_max_positions": 10**6}, TOO_LARGE),
    ("htdemucs.HTDemucs", {"nfft": 2**40}, "nfft must be at most 65536"),
    ("htdemucs.HTDemucs", {"depth": 2**40}, "depth must be at most 16"),
    ("htdemucs.HTDemucs", {"growth": 0.001}, "no channels: make channels or growth larger"),
    ("htdemucs.HTDemucs", {"multi_freqs": [0.5] * 9000, "multi_freqs_depth": 1}, TOO_LARGE),
    (
        "htdemucs.HTDemucs",
        {"dconv_depth": -(2**40)},
        "dconv_depth must be a whole number of at least",
    ),
    # Few numbers, but many weights: the fuzzer found that they took half a minute to make.
    ("htdemucs.HTDemucs", {"dconv_depth": 2049}, "dconv_depth must be at most 10"),
    ("htdemucs.HTDemucs", {"dconv_depth": 10, "dconv_mode": 3}, TOO_LARGE),
    ("htdemucs.HTDemucs", {"dconv_comp": 1e-9}, TOO_LARGE),
    ("htdemucs.HTDemucs", {"kernel_size": 2**40}, "kernel_size must be at most 256"),
    ("htdemucs.HTDemucs", {"context": 32, "channels": 96}, TOO_LARGE),
    ("htdemucs.HTDemucs", {"context_enc": 32, "channels": 96}, TOO_LARGE),
    ("htdemucs.HTDemucs", {"audio_channels": 2**40}, "audio_channels must be at most 32"),
    ("hdemucs.HDemucs", {"channels_time": 8192}, TOO_LARGE),
    ("hdemucs.HDemucs", {"time_stride": 2**30, "depth": 5}, "time_stride must be at most 64"),
    ("hdemucs.HDemucs", {"sources": ["a"] * 9000}, "at most 100, got 9000"),
    ("hdemucs.HDemucs", {"growth": 1e300}, "growth must be from 0 to 16"),
    ("hdemucs.HDemucs", {"growth": float("inf")}, "growth must be a positive number, got inf"),
    ("hdemucs.HDemucs", {"growth": float("nan")}, "growth must be a positive number, got nan"),
    ("hdemucs.HDemucs", {"segment": 0.0001}, "0.0001 s is too short: wanted at least 0.01 s"),
    ("hdemucs.HDemucs", {"segment": 3600}, "3600 s at 44100 Hz is more than can be worked on"),
    ("htdemucs.HTDemucs", {"t_sin_random_shift": 2**40}, "t_sin_random_shift must be at most"),
    (
        "hdemucs.HDemucs",
        {"cac": False, "wiener_iters": 10**9, "end_iters": 10**9},
        "end_iters must be at most 16|wiener_iters must be at most 16",
    ),
    ("hdemucs.HDemucs", {"stride": 10**9}, "stride must be at most 64"),
    ("hdemucs.HDemucs", {"segment": 0}, "segment must be a positive number, got 0"),
    ("hdemucs.HDemucs", {"segment": "long"}, "segment must be a positive number, got 'long'"),
    ("hdemucs.HDemucs", {"samplerate": -1}, "samplerate must be a whole number of at least 1"),
    ("hdemucs.HDemucs", {"depth": 2.5}, "depth must be a whole number of at least 1, got 2.5"),
    ("hdemucs.HDemucs", {"nfft": None}, "nfft must be a whole number of at least 4, got None"),
    ("hdemucs.HDemucs", {"nfft": 254}, "nfft must be a multiple of 4"),
    ("hdemucs.HDemucs", {"depth": 2}, "does not reach the layer where both branches merge"),
    (
        "hdemucs.HDemucs",
        {"dconv_depth": None},
        "dconv_depth must be a whole number of at least -10, got None",
    ),
    (
        "hdemucs.HDemucs",
        {"channels_time": 0},
        "channels_time must be a whole number of at least 1, got 0",
    ),
    ("hdemucs.HDemucs", {"multi_freqs": [0.5, 2.0]}, "multi_freqs must be shares below 1"),
    ("hdemucs.HDemucs", {"multi_freqs": 0.5}, "multi_freqs must be shares below 1"),
    ("hdemucs.HDemucs", {"sources": []}, "sources must name at least one stem"),
    ("hdemucs.HDemucs", {"sources": [1, 2]}, "sources must be a list of names"),
    ("hdemucs.HDemucs", {"wiener_iters": 1}, "needs wiener_iters equal to end_iters"),
    ("htdemucs.HTDemucs", {"t_emb": "learnt"}, "t_emb must be"),
    ("htdemucs.HTDemucs", {"t_heads": 3}, ""),
    ("htdemucs.HTDemucs", {"bottom_channels": 18}, "multiple of 4"),
    ("htdemucs.HTDemucs", {"t_sparse_self_attn": True}, "t_sparse_self_attn=True asks for sparse"),
    ("htdemucs.HTDemucs", {"t_sparse_cross_attn": True}, "t_sparse_cross_attn=True asks for"),
]


@pytest.mark.parametrize(("klass", "changes", "match"), BAD)
def test_a_package_with_arguments_out_of_bounds(
    tmp_path: Path, klass: str, changes: dict[str, Any], match: str
) -> None:
    _, path = write_hybrid(tmp_path / "a.th", f"demucs.{klass}", **changes)
    with pytest.raises(CheckpointError, match=f"made from its constructor arguments: .*{match}"):
        demucs_tf.load_model(path)


@pytest.fixture(name="saved", scope="module")
def _saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("keras") / "a.keras"
    model("HTDemucsTF").save(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"t_layers": 60}, TOO_LARGE),
        ({"channels": 4096}, TOO_LARGE),
        ({"channels": 2**40}, "channels must be at most 8192"),
        ({"segment": "1/1000"}, "a segment of 0.001 s is too short: wanted at least 0.01 s"),
        ({"segment": "1e999999999"}, "its segment is no fraction"),
        ({"segment": "1/0"}, "segment must be a positive number"),
        ({"segment": "-1/2"}, "its segment is no fraction"),
        ({"multi_freqs": [[0.5]]}, "multi_freqs is not plain data"),
        ({"multi_freqs": {"class_name": "__lambda__", "items": []}}, "multi_freqs is not plain"),
        ({"t_sparse_self_attn": True}, "t_sparse_self_attn=True asks for sparse attention"),
        ({"hybrid": True}, "not that of a HTDemucsTF"),  # HDemucs has it
    ],
)
def test_a_keras_file_with_arguments_out_of_bounds(
    tmp_path: Path, saved: bytes, changes: dict[str, Any], match: str
) -> None:
    path = tmp_path / "a.keras"
    path.write_bytes(saved)
    rewrite(path, lambda config: config["config"].update(changes))
    with pytest.raises(CheckpointError, match=match):
        demucs_tf.load_model(path)


def test_a_keras_file_that_mixes_two_classes(tmp_path: Path, saved: bytes) -> None:
    path = tmp_path / "a.keras"
    path.write_bytes(saved)
    rewrite(path, lambda config: config.update(class_name="HDemucsTF"))
    with pytest.raises(CheckpointError, match=r"found demucs_tf>HTDemucsTF \(class HDemucsTF\)"):
        demucs_tf.load_model(path)


# Against the reference


@pytest.mark.live
@pytest.mark.parametrize("half", [False, True], ids=["whole", "half"])
@pytest.mark.parametrize("name", ["HDemucs", "HTDemucs"])
def test_what_the_reference_saves_gives_what_it_gives(
    tmp_path: Path, name: str, half: bool
) -> None:
    import torch
    from demucs import states
    from omegaconf import OmegaConf

    cls = getattr(importlib.import_module(f"demucs.{name.lower()}"), name)
    module = cls(**MODELS[f"{name}TF"]).eval()
    seed_module(module, 1)
    torch.save(states.serialize_model(module, OmegaConf.create({}), half=half), tmp_path / "a.th")
    reference = states.load_model(tmp_path / "a.th").eval()  # half precision widened by it
    with torch.no_grad():
        wanted = reference(torch.from_numpy(MIX)).numpy()
    loaded = demucs_tf.load_model(tmp_path / "a.th")
    assert loaded.segment == reference.segment
    assert isinstance(loaded.segment, Fraction)
    difference = compare(np.asarray(loaded(MIX)), wanted, tolerance=1e-5)  # an SNR of 100 dB
    assert difference.passed, difference
