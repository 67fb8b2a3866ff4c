"""Weights of a fresh model: the reference's distributions, and no two variables alike."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import demucs_tf
from demucs_tf.checkpoints.weights import read_state
from demucs_tf.layers.base import blank_weights

CONFIG: dict[str, Any] = {
    "channels": 32,
    "depth": 2,
    "dconv_mode": 3,
    "dconv_comp": 1,
    "dconv_attn": 0,
    "dconv_lstm": 1,
    "norm_starts": 1,
    "lstm_layers": 1,
}


def _fresh(**changes: Any) -> dict[str, np.ndarray]:
    keras.utils.set_random_seed(1)
    return read_state(demucs_tf.DemucsTF(["a", "b"], **{**CONFIG, **changes}))


def test_no_two_variables_start_alike() -> None:
    drawn = [a for a in _fresh().values() if np.std(a) > 0]
    assert len({a.tobytes() for a in drawn}) == len(drawn) > 100


def test_a_seed_gives_the_same_weights() -> None:
    first, second = _fresh(), _fresh()
    assert all(first[key].tobytes() == second[key].tobytes() for key in first)


def test_blank_weights_are_zeros() -> None:
    with blank_weights():
        state = _fresh()
    assert not any(np.any(array) for array in state.values())


def test_rescaling_is_by_the_unbiased_deviation() -> None:
    """Reference: demucs/demucs.py::rescale_conv"""
    small = {"channels": 1, "depth": 1, "kernel_size": 2, "stride": 1, "dconv_mode": 0}
    small |= {"audio_channels": 1, "resample": False, "lstm_layers": 0}
    before, after = (_fresh(**small, rescale=rescale) for rescale in (None, 0.1))
    rescaled = [key for key in before if key.endswith(".weight") and before[key].ndim > 1]
    assert len(rescaled) == 4
    for key in rescaled:
        scale = np.sqrt(np.std(before[key].astype(np.float64), ddof=1) / 0.1)
        for each in (key, key.replace("weight", "bias")):
            np.testing.assert_allclose(after[each] * scale, before[each], rtol=1e-6)


@pytest.mark.parametrize("name", ["DemucsTF", "HDemucsTF", "HTDemucsTF"])
def test_residual_branches_start_with_the_factor_that_is_given(name: str) -> None:
    small = {"channels": 8, "depth": 2, "dconv_mode": 3, "dconv_comp": 2, "dconv_init": 0.25}
    other = {"DemucsTF": {"lstm_layers": 0}, "HDemucsTF": {"nfft": 64}}
    options = other.get(name, {"nfft": 64, "t_layers": 0})
    state = read_state(getattr(demucs_tf, name)(["a"], **small, **options))
    scales = [array for key, array in state.items() if ".layers." in key and key.endswith(".scale")]
    assert len(scales) >= 8
    assert all((array == 0.25).all() for array in scales)


@pytest.mark.live
@pytest.mark.parametrize("rescale", [0.1, None])
def test_distributions_are_the_references(rescale: float | None) -> None:
    """Same bounds and same deviation, variable by variable, as far as its size lets one see."""
    import torch
    from demucs.demucs import Demucs

    torch.manual_seed(1)
    theirs = Demucs(["a", "b"], **CONFIG, rescale=rescale).state_dict()
    for key, ours in _fresh(rescale=rescale).items():
        other = theirs[key].numpy()
        assert ours.shape == other.shape
        assert (np.std(ours) == 0) == (np.std(other) == 0), key
        if np.std(other) == 0 or ours.size >= 1000:
            assert np.abs(ours - other).max() <= 2.1 * np.abs(other).max(), key
            assert abs(_size(ours) / _size(other) - 1) < 0.1, key


def _size(array: np.ndarray) -> np.float64:
    """Root of the mean square; next to nothing for zeros."""
    return 1e-9 + np.sqrt(np.mean(array.astype(np.float64) ** 2))
