"""apply_model: against the reference, and against what can be worked out by hand."""

from __future__ import annotations

import importlib
import random
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from demucs_tf import BagOfModels
from demucs_tf.inference.apply import apply_model
from demucs_tf.inference.chunks import TensorChunk, center_trim, transition_weight
from tests.support.fakes import FakeTF, PaddedFakeTF, fake_torch, noise

FLOAT32 = np.dtype("float32")

# Lengths in samples at 100 Hz; a segment is 100 samples, a shift up to 50.
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "one_chunk": (60, {"shifts": 0}),
    "two_chunks": (150, {"shifts": 0}),
    "tiny_last_chunk": (151, {"shifts": 0}),
    "no_overlap": (333, {"shifts": 0, "overlap": 0.0}),
    "much_overlap": (333, {"shifts": 0, "overlap": 0.9}),
    "odd_segment": (333, {"shifts": 0, "segment": 0.57}),
    "sharp": (333, {"shifts": 0, "transition_power": 2.5}),
    "one_sample": (1, {"shifts": 1}),
    "whole": (333, {"shifts": 0, "split": False}),
    "whole_shifted": (333, {"shifts": 2, "split": False}),
    "shifted": (333, {"shifts": 1}),
    "three_shifts": (333, {"shifts": 3, "overlap": 0.4, "segment": 0.8}),
}


@pytest.mark.live
@pytest.mark.parametrize("padded", [False, True], ids=["any_length", "valid_length"])
@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference_bit_by_bit(case: str, padded: bool) -> None:
    reference = importlib.import_module("demucs.apply")
    import torch

    length, arguments = CASES[case]
    mix = noise(2, 2, length)
    random.seed(11)
    wanted = reference.apply_model(fake_torch(padded), torch.from_numpy(mix), **arguments).numpy()
    model = PaddedFakeTF() if padded else FakeTF()
    found = apply_model(model, mix, seed=11, **arguments)
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    # Powers of two round alike; pow() itself may differ in the last place between libraries.
    tolerance = 1e-7 if "transition_power" in arguments else 0
    assert np.max(np.abs(found - wanted)) <= tolerance


@pytest.mark.live
def test_callbacks_equal_the_reference() -> None:
    reference = importlib.import_module("demucs.apply")
    import torch

    mix = noise(1, 2, 250)
    wanted: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    common: dict[str, Any] = {"shifts": 2, "callback_arg": {"song": 7, "shift_idx": 99}}
    reference.apply_model(fake_torch(True), torch.from_numpy(mix), callback=wanted.append, **common)
    apply_model(PaddedFakeTF(), mix, callback=found.append, seed=1, **common)
    assert found == wanted
    assert len(found) == 2 * 2 * 4  # start and end, shifts, chunks


@pytest.mark.parametrize("arguments", [{}, {"overlap": 0.8}, {"shifts": 3}, {"split": False}])
def test_stem_without_context_comes_back(arguments: dict[str, Any]) -> None:
    """Half the mix is half the mix, however it is shifted, cut and joined."""
    mix = noise(1, 2, 777)
    out = apply_model(FakeTF(), mix, seed=0, **arguments)
    assert np.max(np.abs(out[:, 0] - 0.5 * mix)) <= 1e-7


def test_whole_without_shifts_is_one_call_of_the_model() -> None:
    mix = noise(1, 2, 50)
    out = apply_model(FakeTF(), mix, shifts=0, split=False)
    assert np.array_equal(out[:, 2], mix + np.roll(mix, 1, -1))


def test_chunks_see_their_neighbours_and_not_zeros() -> None:
    """Stem "before" adds the sample before, which for a padded chunk lies in its surroundings."""
    mix = 1 + np.abs(noise(1, 2, 400))
    out = apply_model(PaddedFakeTF(), mix, shifts=0)
    wanted = mix[..., 1:] + mix[..., :-1]
    assert np.max(np.abs(out[0, 2, :, 1:] - wanted[0])) <= 1e-6


def test_shift_is_the_one_that_random_draws() -> None:
    lengths: list[int] = []

    class Spy(FakeTF):
        def valid_length(self, length: int) -> int:
            lengths.append(length)
            return length

    # 0 and 50, half a second, are both drawn.
    seed = next(n for n in range(9999) if {0, 50} == {*_draws(n)})
    apply_model(Spy(), noise(1, 2, 300), shifts=2, split=False, seed=seed)
    assert lengths == [300 + 50 - offset for offset in _draws(seed)]


def _draws(seed: int) -> list[int]:
    draw = random.Random(seed)
    return [draw.randint(0, 50), draw.randint(0, 50)]


def test_callback_gets_the_place_over_the_callers_keys() -> None:
    events: list[dict[str, Any]] = []
    mine = {"song": 7, "state": "mine", "segment_offset": -1, "model_idx_in_bag": 9, "models": 4}
    apply_model(FakeTF(), noise(1, 2, 150), shifts=0, callback=events.append, callback_arg=mine)
    fixed = {"song": 7, "models": 4, "model_idx_in_bag": 0, "shift_idx": 0}
    places = [(0, "start"), (0, "end"), (75, "start"), (75, "end")]
    assert events == [{**fixed, "segment_offset": o, "state": s} for o, s in places]


def test_without_a_seed_the_global_random_is_used() -> None:
    mix = noise(1, 2, 300)
    random.seed(21)
    free = apply_model(FakeTF(), mix)
    state = random.getstate()
    assert np.array_equal(free, apply_model(FakeTF(), mix, seed=21))
    assert random.getstate() == state, "a seed must leave the global generator alone"
    assert not np.array_equal(free, apply_model(FakeTF(), mix, seed=22))


@pytest.mark.parametrize("batch_size", [2, 3, 100])
@pytest.mark.parametrize("model", [FakeTF(), PaddedFakeTF()], ids=["any", "padded"])
def test_batches_change_nothing(model: FakeTF, batch_size: int) -> None:
    mix = noise(2, 2, 560)
    one = apply_model(model, mix, seed=3)
    events: list[dict[str, Any]] = []
    many = apply_model(model, mix, seed=3, batch_size=batch_size, callback=events.append)
    assert np.max(np.abs(many - one)) <= 1e-7
    assert len(events) == 2 * len({d["segment_offset"] for d in events})


def test_float64_stays_float64() -> None:
    mix = noise(1, 2, 333, dtype="float64")
    out = apply_model(FakeTF("float64"), mix, seed=0)
    assert out.dtype == np.float64
    assert np.max(np.abs(out[:, 0] - 0.5 * mix)) <= 1e-15


@pytest.mark.parametrize("weight", [1.0, 1e12])
def test_infinite_samples_come_out_without_warnings(weight: float) -> None:
    """As in the reference; warnings are errors here."""
    bag = BagOfModels([FakeTF(gain=3e38), FakeTF(gain=np.nan)], [[weight] * 3, [weight] * 3])
    for model in (bag, *bag.models):
        assert not np.isfinite(apply_model(model, 99 * noise(1, 2, 300), seed=0)).all()


def test_keyboard_interrupt_in_the_callback_stops() -> None:
    seen: list[int] = []

    def stop(place: dict[str, Any]) -> None:
        seen.append(place["segment_offset"])
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_model(FakeTF(), noise(1, 2, 900), shifts=0, callback=stop)
    assert seen == [0, 0, 75]


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    apply_model(FakeTF(), noise(1, 2, 300), shifts=0, progress=True)
    out, err = capsys.readouterr()
    assert not out
    assert "100%" in err
    assert "3.0/3.0 seconds" in err
    assert re.search(r"\d\.\d times real time", err)


def test_the_bar_says_which_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    bag = BagOfModels([FakeTF(), FakeTF()])
    apply_model(bag, noise(1, 2, 351), shifts=2, overlap=0.3, progress=True)
    shown = re.findall(r"(model [^:]*): +(\d+)%\|[^|]*\| ([\d.]+)/", capsys.readouterr().err)
    assert list(dict.fromkeys(title for title, _, _ in shown)) == [
        f"model {model} of 2, shift {shift} of 2" for model in (1, 2) for shift in (1, 2)
    ]
    assert all(re.fullmatch(r"\d+\.\d", seconds) for _, _, seconds in shown)


def test_the_model_is_traced_once() -> None:
    traces: list[Any] = []

    class Counting(FakeTF):
        def __call__(self, mix: Any) -> Any:
            traces.append(mix)
            return super().__call__(mix)

    model = Counting()
    for length in (90, 130, 333):
        apply_model(model, noise(1, 2, length), seed=0)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"overlap": 1.0}, "overlap must be at least 0 and below 1, got 1.0"),
        ({"overlap": -0.1}, "overlap must be"),
        ({"overlap": float("nan")}, "overlap must be"),
        ({"segment": 0.0}, "segment must be from 0.01 to 300 seconds, got 0.0"),
        ({"segment": 0.0001}, "segment must be from 0.01 to 300 seconds, got 0.0001"),
        ({"segment": 3600}, "segment must be from 0.01 to 300 seconds, got 3600"),
        ({"segment": 10**400}, "segment must be from 0.01 to 300 seconds, got 1000.*[.][.][.]"),
        ({"segment": 0.01, "overlap": 0.5}, "less than one sample"),
        ({"shifts": -1}, "shifts must be from 0 to 1000000, got -1"),
        ({"shifts": 1.5}, "shifts must be"),
        ({"shifts": 10**9}, "shifts must be from 0 to 1000000, got 1000000000"),
        ({"transition_power": 0.5}, "transition_power must be 1 or more, got 0.5"),
        ({"transition_power": 100.0}, "transition_power 100 is too large"),
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
    ],
)
def test_refuses_arguments_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply_model(FakeTF(), noise(1, 2, 300), **arguments)


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        (noise(2, 300), r"must be \(batch, 2 audio channels, samples\), got \(2, 300\)"),
        (noise(1, 1, 300), "2 audio channels"),
        (noise(1, 2, 0), "not empty"),
        (np.zeros((1, 2, 300), np.int16), "floating point .* got int16"),
    ],
)
def test_refuses_mixtures_that_do_not_fit(mix: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply_model(FakeTF(), mix)


@pytest.mark.parametrize(
    ("offset", "length", "target", "wanted"),
    [
        (4, 3, 3, [4, 5, 6]),
        (4, 3, 6, [3, 4, 5, 6, 7, 8]),  # 1 before, 2 after
        (0, 3, 7, [0, 0, 0, 1, 2, 3, 4]),  # 2 zeros before the start, then 0, 1, 2
        (8, 3, 6, [6, 7, 8, 9, 0, 0]),  # cut to 2 samples; 2 before, 2 after the end
    ],
)
def test_chunk_is_padded_with_what_surrounds_it(
    offset: int, length: int, target: int, wanted: list[int]
) -> None:
    assert TensorChunk(np.arange(10), offset, length).padded(target).tolist() == wanted


def test_chunk_of_a_chunk_sees_beyond_it() -> None:
    outer = TensorChunk(np.arange(10), 4, 4)
    assert TensorChunk(outer, 2, 5).padded(4).tolist() == [5, 6, 7, 8]
    with pytest.raises(ValueError, match=r"0\.\.3"):
        TensorChunk(outer, 4)
    with pytest.raises(ValueError, match="4 samples, more than 3"):
        outer.padded(3)


def test_center_trim_takes_the_odd_sample_from_the_right() -> None:
    assert center_trim(np.arange(7), 4).tolist() == [1, 2, 3, 4]
    assert center_trim(np.arange(4), 4).tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="at least 5"):
        center_trim(np.arange(4), 5)


def test_transition_weight_is_a_triangle_without_zeros() -> None:
    third = np.array([1, 2, 3, 2, 1], np.float32) / np.float32(3)
    assert np.array_equal(transition_weight(5, 1, FLOAT32), third)
    assert transition_weight(4, 2, FLOAT32).tolist() == [0.25, 1, 1, 0.25]
    assert transition_weight(1, 1, FLOAT32).tolist() == [1]


def test_importing_does_not_import_tensorflow() -> None:
    code = "import sys, demucs_tf.inference.separator as s; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
