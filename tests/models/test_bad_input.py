"""Input that is no mixture for a model: a clear error or the right shape, never a wrong one."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import demucs_tf
from tests.support.fakes import Array, noise

HYBRID: dict[str, Any] = {"channels": 4, "nfft": 256, "depth": 4, "dconv_comp": 2, "dconv_attn": 9}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "time": ("DemucsTF", {"channels": 4, "depth": 2}),
    "hybrid": ("HDemucsTF", HYBRID),
    "spectral": ("HDemucsTF", {**HYBRID, "hybrid": False}),
    "transformer": (
        "HTDemucsTF",
        {
            "channels": 4,
            "nfft": 256,
            "depth": 2,
            "dconv_comp": 2,
            "t_heads": 1,
            "t_layers": 1,
            "samplerate": 1000,
            "segment": 0.4,
        },
    ),
}
NOT_A_NUMBER = noise(1, 2, 300)
NOT_A_NUMBER[0, 1, 7] = np.nan
INFINITE = noise(1, 2, 300)
INFINITE[0, 1, 7] = np.inf

SHORT = "A window of 256 needs more than 128 samples, got"
SHAPE = r"mix must be \(batch, 2 audio channels, samples\), got"
FINITE = "mix has samples that are NaN or infinite"

# Input: (mixture, what each model says to it; a model that is not named gives stems of its length)
CASES: dict[str, tuple[Array, dict[str, str]]] = {
    "empty": (noise(1, 2, 0), dict.fromkeys(MODELS, "mix has no samples")),
    "one sample": (noise(1, 2, 1), {"spectral": SHORT}),
    "below a hop": (noise(1, 2, 63), {"spectral": SHORT}),
    "half a window": (noise(1, 2, 128), {"spectral": SHORT}),
    "over half a window": (noise(1, 2, 129), {}),
    "below a window": (noise(1, 2, 255), {}),
    "a training segment": (noise(1, 2, 400), {}),
    "longer than that": (
        noise(1, 2, 401),
        # demucs/htdemucs.py:522-524
        {"transformer": "Given length 401 is longer than training length 400"},
    ),
    "mono": (noise(1, 1, 300), dict.fromkeys(MODELS, SHAPE)),
    "six channels": (noise(1, 6, 300), dict.fromkeys(MODELS, SHAPE)),
    "no batch": (noise(2, 300), dict.fromkeys(MODELS, SHAPE)),
    "four axes": (noise(1, 1, 2, 300), dict.fromkeys(MODELS, SHAPE)),
    "integers": (
        np.ones((1, 2, 300), np.int16),
        dict.fromkeys(MODELS, r"floating point in \[-1, 1\], got int16"),
    ),
    # The time-domain model makes it NaN, as the reference does; that has no shape to get wrong.
    "nan": (NOT_A_NUMBER, dict.fromkeys(["hybrid", "spectral", "transformer"], FINITE)),
    "infinite": (INFINITE, dict.fromkeys(["hybrid", "spectral", "transformer"], FINITE)),
}


@lru_cache
def model(name: str) -> Any:
    cls, arguments = MODELS[name]
    return getattr(demucs_tf, cls)(["a", "b", "c"], **arguments)


@lru_cache
def graph(name: str) -> Any:
    """The model traced for mixtures of which nothing is known but their type."""
    spec = tf.TensorSpec(None, tf.float32)
    return tf.function(lambda mix: model(name)(mix), input_signature=[spec])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("case", CASES)
def test_eager(case: str, name: str) -> None:
    mix, messages = CASES[case]
    if name in messages:
        with pytest.raises(ValueError, match=messages[name]):
            model(name)(mix)
    else:
        stems = model(name)(mix)
        assert stems.shape == (1, 3, 2, mix.shape[-1])
        finite = np.isfinite(mix).all() and (name, case) != ("time", "one sample")  # has no std
        assert np.isfinite(stems).all() == finite


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("case", [case for case in CASES if case != "integers"])
def test_in_a_graph(case: str, name: str) -> None:
    """Lengths and values are only known at run time: an error of TensorFlow, or the right shape."""
    mix, messages = CASES[case]
    message = messages.get(name, "")
    if message and message != FINITE:
        said = message if case == "empty" else None  # otherwise TensorFlow's own words
        with pytest.raises(tf.errors.InvalidArgumentError, match=said):
            graph(name)(mix)
    else:
        assert graph(name)(mix).shape == (1, 3, 2, mix.shape[-1])


@pytest.mark.parametrize("name", MODELS)
def test_in_a_graph_of_known_shape_it_is_refused_while_tracing(name: str) -> None:
    function = tf.function(lambda mix: model(name)(mix))
    with pytest.raises(ValueError, match=SHAPE):
        function.get_concrete_function(tf.TensorSpec([None, 3, None], tf.float32))
    with pytest.raises(ValueError, match="floating point"):
        function.get_concrete_function(tf.TensorSpec([None, 2, None], tf.int32))


@pytest.mark.parametrize("known", [{}, {"shape": (1, 2, 300)}, {"dtype": "float32"}])
def test_what_is_no_tensor_is_refused(known: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="mix must be a tensor or an array, got SimpleNamespace"):
        model("time").check(SimpleNamespace(**known))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("case", ["nan", "infinite", "empty", "mono", "no batch", "integers"])
def test_apply_model_refuses(case: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"mix must be|{FINITE}"):
        demucs_tf.apply_model(model(name), CASES[case][0], shifts=0)


@pytest.mark.parametrize("option", ["t_sparse_self_attn", "t_sparse_cross_attn"])
def test_sparse_attention_is_refused_by_name(option: str) -> None:
    options: dict[str, Any] = {option: True}
    with pytest.raises(ValueError, match=f"{option}=True asks for sparse attention, which is not"):
        demucs_tf.HTDemucsTF(["a"], **options)


@pytest.mark.parametrize(
    ("split", "band"), [(0.01, "from 0 to 1 of 16"), (0.99, "from 0 to 17 of 16")]
)
def test_bands_without_room_for_a_kernel_are_refused(split: float, band: str) -> None:
    options: dict[str, Any] = {"nfft": 32, "depth": 3, "kernel_size": 4, "stride": 2}
    made = demucs_tf.HDemucsTF(
        ["a"], channels=4, multi_freqs=[split], multi_freqs_depth=1, **options
    )
    with pytest.raises(ValueError, match=f"leaves no room for a kernel of 4 in the band {band}"):
        made(noise(1, 2, 300))


@pytest.mark.live
@pytest.mark.filterwarnings(r"ignore:std\(\)")  # of one sample
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "case", ["one sample", "below a hop", "half a window", "over half a window", "longer than that"]
)
def test_the_reference_refuses_the_same_lengths(case: str, name: str) -> None:
    import importlib

    import torch

    cls, arguments = MODELS[name]
    reference = getattr(importlib.import_module(f"demucs.{cls[:-2].lower()}"), cls[:-2])
    module = reference(["a", "b", "c"], **arguments).eval()
    mix, messages = CASES[case]
    with torch.no_grad():
        if name in messages:
            with pytest.raises(RuntimeError):
                module(torch.from_numpy(mix))
        else:
            assert module(torch.from_numpy(mix)).shape == (1, 3, 2, mix.shape[-1])
