"""apply_model on hybrid models: lengths, segments and draws as in the reference."""

from __future__ import annotations

import importlib
import random
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from demucs_tf import HDemucsTF, HTDemucsTF, apply_model
from parity.core.compare import compare
from parity.core.seeding import seed_module
from tests.support.fakes import Array, noise, sums_in_float64

SOURCES = ["a", "b"]
SMALL: dict[str, dict[str, Any]] = {
    "HDemucs": {"channels": 8, "nfft": 256, "depth": 5, "segment": 0.05},
    "HTDemucs": {
        "channels": 8,
        "nfft": 256,
        "depth": 2,
        "t_heads": 2,
        "bottom_channels": 16,
        "t_layers": 2,
        "segment": 0.05,  # 2,205 samples
    },
}

# Name: class, changes of its arguments
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "ht": ("HTDemucs", {}),
    "ht_shifting": ("HTDemucs", {"t_sin_random_shift": 5}),
    "ht_free": ("HTDemucs", {"use_train_segment": False}),
    "ht_learnt": ("HTDemucs", {"t_emb": "scaled", "t_max_positions": 600}),  # draws nothing
    "h": ("HDemucs", {}),
    "h_old": ("HDemucs", {"hybrid_old": True, "cac": False}),
}

# Model, samples, arguments of apply_model
CASES: list[tuple[str, int, dict[str, Any]]] = [
    ("ht", 4000, {"shifts": 2}),  # draws, though all positions are shifted by 0
    ("ht", 6000, {"shifts": 1, "overlap": 0.1}),
    ("ht", 1000, {"shifts": 0, "split": False, "segment": 0.04}),
    ("ht", 900, {"shifts": 1}),
    ("ht", 900, {"shifts": 0, "segment": 0.03}),
    ("ht", 40, {"shifts": 0}),  # less than a hop of 64
    ("ht", 1, {"shifts": 1}),
    ("ht_shifting", 4000, {"shifts": 2}),
    ("ht_shifting", 5000, {"shifts": 0}),
    ("ht_shifting", 4000, {"shifts": 0, "segment": 0.03}),
    ("ht_shifting", 2000, {"shifts": 0, "split": False}),
    ("ht_free", 4000, {"shifts": 0, "segment": 0.07}),
    ("ht_free", 4000, {"shifts": 1}),
    ("ht_learnt", 3000, {"shifts": 2}),
    ("h", 4000, {"shifts": 2}),
    ("h", 1654, {"shifts": 0}),  # the last chunk is a sample long
    ("h", 6000, {"shifts": 1, "overlap": 0.1}),
    ("h", 4000, {"shifts": 0, "segment": 0.03}),
    ("h", 4000, {"shifts": 0, "segment": 0.08}),
    ("h", 3000, {"shifts": 1, "split": False}),
    ("h", 900, {"shifts": 0}),
    ("h", 40, {"shifts": 0}),
    ("h_old", 3000, {"shifts": 1}),
]


@lru_cache
def pair(model: str) -> tuple[Any, Any]:
    """A module of the reference, and the port of it, which is traced once for all cases."""
    from demucs_tf import from_torch

    module = reference(*MODELS[model])
    return module, from_torch(module, "float64")


def reference(name: str, changes: dict[str, Any]) -> Any:
    """A module of the reference in float64, with weights of order 1."""

    cls = getattr(importlib.import_module(f"demucs.{name.lower()}"), name)
    module = cls(SOURCES, **{**SMALL[name], **changes}).eval()
    seed_module(module, 0)
    return module.double()


def of_the_reference(module: Any, mix: Array, **arguments: Any) -> Array:
    import torch

    random.seed(3)
    apply = importlib.import_module("demucs.apply").apply_model
    with torch.no_grad(), sums_in_float64(module):
        out: Array = apply(module, torch.from_numpy(mix), device="cpu", **arguments).numpy()
    return out


@pytest.mark.live
@pytest.mark.parametrize(("model", "length", "arguments"), CASES)
def test_equals_the_reference(model: str, length: int, arguments: dict[str, Any]) -> None:
    module, port = pair(model)
    mix = noise(2, 2, length, dtype="float64")
    wanted = of_the_reference(module, mix, **arguments)
    state = random.getstate()
    found = apply_model(port, mix, seed=3, **arguments)
    difference = compare(found, wanted, tolerance=1e-12)
    assert difference.passed, difference
    # Without a seed: the same numbers, from a generator that ends in the same state.
    random.seed(3)
    assert np.array_equal(apply_model(port, mix, **arguments), found)
    assert random.getstate() == state
    # Several chunks together: the same draws.
    many = apply_model(port, mix, seed=3, batch_size=3, **arguments)
    assert compare(many, wanted, tolerance=1e-12).passed


@pytest.mark.live
@pytest.mark.parametrize("arguments", [{"segment": 0.06}, {"split": False}], ids=str)
def test_what_is_longer_than_the_training_segment_fails_in_both(arguments: dict[str, Any]) -> None:
    module, port = pair("ht")
    mix = noise(1, 2, 3000, dtype="float64")
    with pytest.raises((ValueError, RuntimeError)):  # depends on where the reference notices
        of_the_reference(module, mix, shifts=0, **arguments)
    length = 2646 if "segment" in arguments else 3000
    with pytest.raises(ValueError, match=f"length {length} is longer than training length 2205"):
        apply_model(port, mix, shifts=0, **arguments)


# Without the reference

SMALLEST: dict[str, Any] = {
    "channels": 4,
    "nfft": 128,
    "depth": 2,
    "t_heads": 1,
    "t_layers": 1,
    "dconv_comp": 2,
    "samplerate": 1000,
    "segment": 0.2,
    "t_sin_random_shift": 50,
}


class Recording:
    """An HTDemucs as `apply_model` knows it, which keeps what it is given."""

    sources = SOURCES
    audio_channels = 2
    samplerate = 1000
    segment = 0.2
    training_length = 200
    compute_dtype = "float32"

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.shifts: list[list[int]] = []

    def valid_length(self, length: int) -> int:
        if length > self.training_length:
            raise ValueError("too long")
        return self.training_length

    def draw_shift(self, generator: Any) -> int:
        drawn: int = generator.randrange(51)
        return drawn

    def __call__(self, mix: Any, shift: Any = None) -> Any:
        import tensorflow as tf

        self.lengths.append(mix.shape[-1])
        self.shifts.append(shift.numpy().tolist())
        return tf.stack([mix, mix], 1)


@pytest.mark.parametrize(
    ("segment", "batch_size", "lengths"),
    [(None, 1, [200] * 3), (0.1, 1, [100] * 6), (0.1, 4, [100] * 2), (0.2, 1, [200] * 3)],
)
def test_lengths_and_draws(segment: float | None, batch_size: int, lengths: list[int]) -> None:
    model = Recording()
    mix = noise(2, 2, 410)
    out = apply_model(model, mix, 0, segment=segment, seed=5, batch_size=batch_size, engine="eager")
    assert np.max(np.abs(out - mix[:, None])) <= 1e-7
    assert model.lengths == lengths
    draw = random.Random(5)
    drawn = [draw.randrange(51) for _ in range(6 if segment == 0.1 else 3)]
    flat = [shift for batch in model.shifts for shift in batch]
    assert flat == [shift for shift in drawn for _ in range(2)]  # two items in each chunk


def test_positions_of_each_item_are_its_own() -> None:
    model = HTDemucsTF(SOURCES, **SMALLEST, dtype="float64")
    for variable in model.variables:  # LayerScale starts at 1e-4, which would hide the branches
        variable.assign_add(np.full(variable.shape, 0.05))
    mix = noise(1, 2, 900, dtype="float64")
    one = apply_model(model, mix, shifts=0, seed=1)
    many = apply_model(model, mix, shifts=0, seed=1, batch_size=4)
    other = apply_model(model, mix, shifts=0, seed=2)
    assert compare(many, one, tolerance=1e-12).passed
    assert not compare(other, one, tolerance=1e-6).passed


def test_a_longer_segment_names_the_longest() -> None:
    with pytest.raises(ValueError, match=r"length 300 is longer than training length 200: .* 0\.2"):
        apply_model(Recording(), noise(1, 2, 50), 0, segment=0.3)


def test_the_last_chunk_of_a_hybrid_model_runs_at_its_own_length() -> None:
    model = HDemucsTF(
        SOURCES, channels=4, nfft=64, depth=4, dconv_comp=2, samplerate=1000, segment=0.2
    )
    mix = noise(1, 2, 470)
    out = apply_model(model, mix, shifts=0, overlap=0.0)
    last = np.asarray(model(mix[..., 400:]))
    assert compare(out[..., 400:], last, tolerance=1e-5).passed
