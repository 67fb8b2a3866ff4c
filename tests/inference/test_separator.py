"""Separator: level, rate and channels around apply_model."""

from __future__ import annotations

import importlib
import inspect
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from demucs_tf import AudioError, BagOfModels, CheckpointError, Separator
from parity.core.compare import snr_db
from tests.support.fakes import Array, FakeTF, PaddedFakeTF, fake_torch, noise


def reference_separator(module: Any) -> Any:
    """The reference's Separator around `module`, which it can't load by name."""
    api = importlib.import_module("demucs.api")

    class Loaded(api.Separator):  # type: ignore[name-defined]
        def _load_model(self) -> None:
            self._model = module
            self._audio_channels, self._samplerate = module.audio_channels, module.samplerate

    return Loaded(device="cpu")


@pytest.mark.live
@pytest.mark.parametrize("level", [1.0, 1e-3, 0.0], ids=["loud", "quiet", "silent"])
@pytest.mark.parametrize(("channels", "rate"), [(2, 100), (1, 100), (2, 147), (6, 48), (1, 400)])
def test_equals_the_reference(channels: int, rate: int, level: float) -> None:
    reference = reference_separator(fake_torch(True))
    import torch

    wav = np.float32(level) * (noise(channels, 900) + np.float32(0.05))
    reference.update_parameter(shifts=2, overlap=0.3)
    random.seed(4)
    # The reference's way to a track: it converts channels only together with the rate.
    from demucs.audio import convert_audio

    converted = convert_audio(torch.from_numpy(wav), rate, 100, 2)
    wanted_origin, wanted = reference.separate_tensor(converted, 100)
    separator = Separator(PaddedFakeTF(), shifts=2, overlap=0.3, seed=4)
    origin, found = separator.separate_tensor(wav, rate)
    assert list(found) == list(wanted) == FakeTF.sources
    pairs = [(origin, wanted_origin), *((found[name], wanted[name]) for name in found)]
    for ours, theirs in pairs:
        assert ours.dtype == np.float32
        if level:
            assert snr_db(ours, theirs.numpy()) > 120
        else:
            assert np.max(np.abs(ours - theirs.numpy())) <= 1e-12


@pytest.mark.live
def test_a_real_model_equals_the_reference_on_music_like_noise() -> None:
    demucs = importlib.import_module("demucs.demucs")
    import torch

    from demucs_tf import from_torch

    torch.manual_seed(0)
    module = demucs.Demucs(
        ["a", "b"], channels=4, depth=3, lstm_layers=1, samplerate=8000, segment=1, dconv_init=0.1
    ).eval()
    wav = noise(2, 20000)
    reference = reference_separator(module)
    random.seed(9)
    _, wanted = reference.separate_tensor(torch.from_numpy(wav), 8000)
    _, found = Separator(from_torch(module), seed=9).separate_tensor(wav, 8000)
    for name, stem in found.items():
        assert snr_db(stem, wanted[name].numpy()) > 100


def test_the_model_sees_a_normalised_mix_and_the_stems_are_scaled_back() -> None:
    seen: list[Array] = []

    class Spy(FakeTF):
        def __call__(self, mix: Any) -> Any:
            import tensorflow as tf

            tf.py_function(lambda x: seen.append(x.numpy()), [mix], [])
            return super().__call__(mix)

    wav = np.array([[1.0, 2, 3, 6], [3, 4, 5, 8]], np.float32)  # mono 2 3 4 7: mean 4
    deviation = np.sqrt((4 + 1 + 0 + 9) / 3)  # n - 1
    separator = Separator(Spy(), shifts=0)
    origin, stems = separator.separate_tensor(wav)
    assert np.array_equal(origin, wav)
    assert np.max(np.abs(seen[0][0] - (wav - 4) / deviation)) <= 1e-6
    assert np.max(np.abs(stems["level"] - ((wav - 4) / 2 + 4))) <= 1e-6


def test_file_and_array_give_the_same(tmp_path: Path) -> None:
    wav = noise(1, 16000)
    soundfile.write(tmp_path / "a.wav", wav.T, 8000, subtype="FLOAT")
    separator = Separator(FakeTF(), seed=1)
    origin, stems = separator.separate_file(tmp_path / "a.wav")
    other_origin, other = separator.separate_tensor(wav, 8000)
    assert origin.shape == (2, 200)
    assert np.array_equal(origin, other_origin)
    for name in FakeTF.sources:
        assert np.array_equal(stems[name], other[name])


def test_update_parameter_changes_what_it_is_given() -> None:
    events: list[dict[str, Any]] = []
    separator = Separator(FakeTF(), shifts=0, callback=events.append, callback_arg={"song": 1})
    separator.separate_tensor(noise(2, 300))
    assert len(events) == 8
    assert {(e["audio_length"], e["song"]) for e in events} == {(300, 1)}
    events.clear()
    separator.update_parameter(split=False, callback_arg=None)
    separator.separate_tensor(noise(2, 300))
    assert len(events) == 2
    with pytest.raises(ValueError, match="overlap must be"):
        separator.update_parameter(overlap=2.0, split=True)
    with pytest.raises(TypeError, match="speed"):
        separator.update_parameter(speed=2)
    events.clear()
    separator.separate_tensor(noise(2, 300))
    assert len(events) == 2, "a refused update must change nothing"


def test_settings_are_checked_before_a_model_is_loaded() -> None:
    with pytest.raises(ValueError, match="shifts must be"):
        Separator("no such checkpoint", shifts=-1)


def test_float64_models_get_float64() -> None:
    origin, stems = Separator(FakeTF("float64"), shifts=0).separate_tensor(noise(2, 300))
    assert {origin.dtype, *(stem.dtype for stem in stems.values())} == {np.dtype("float64")}


def test_mono_models_get_the_mean() -> None:
    wav = noise(2, 300)
    origin, stems = Separator(FakeTF(audio_channels=1), shifts=0).separate_tensor(wav)
    assert np.array_equal(origin, wav.mean(0, keepdims=True))
    assert stems["level"].shape == (1, 300)


@pytest.mark.parametrize(
    ("wav", "message"),
    [
        (noise(300), r"\(channels, samples\), got float32 \(300,\)"),
        (np.zeros((2, 300), np.int16), "got int16"),
        (np.full((2, 300), np.nan, np.float32), "600 NaN or infinite"),
        (noise(2, 441), "1 samples at 100 Hz; at least 2"),
        (noise(2, 0), "0 samples at 100 Hz; at least 2"),
    ],
)
def test_refuses_what_can_not_be_separated(wav: Any, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        Separator(FakeTF()).separate_tensor(wav, 44100)


def test_three_channels_do_not_become_six() -> None:
    with pytest.raises(AudioError, match="mono or at least 6 channels, found 3"):
        Separator(FakeTF(audio_channels=6)).separate_tensor(noise(3, 300))


class Tensor:
    """A tensor of PyTorch's that is to be trained, or lies on a GPU."""

    def __init__(self, samples: Array, steps: tuple[str, ...] = ("detach", "cpu")) -> None:
        self.samples, self.steps = samples, steps

    def detach(self) -> Tensor:
        return Tensor(self.samples, self.steps[1:])

    def cpu(self) -> Array:
        assert self.steps == ("cpu",)
        return self.samples

    def __array__(self, *_: Any) -> Array:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


class Device:
    """As torch.device: no text, but it says its name."""

    def __str__(self) -> str:
        return "cpu"


def test_what_comes_from_torch_is_taken_as_the_reference_takes_it() -> None:
    wav: Any = noise(2, 300)
    separator = Separator(FakeTF(), device=Device(), seed=np.int64(1))
    origin, found = separator.separate_tensor(Tensor(wav))  # type: ignore[arg-type]
    _, wanted = Separator(FakeTF(), device="cpu", seed=1).separate_tensor(wav)
    assert np.array_equal(origin, wav)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.live
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_tensors_and_devices_of_torch(dtype: str) -> None:
    import torch

    wav = torch.from_numpy(noise(2, 300)).to(getattr(torch, dtype)).requires_grad_()
    separator = Separator(FakeTF(), device=torch.device("cpu"), seed=1)
    origin, _ = separator.separate_tensor(wav)
    assert np.array_equal(origin, wav.detach().float().numpy())


def test_settings_by_position_are_the_references() -> None:
    """In demucs.api both begin with these, in this order."""
    theirs = ["device", "shifts", "overlap", "split", "segment", "jobs", "progress"]
    theirs += ["callback", "callback_arg"]
    assert list(inspect.signature(Separator).parameters)[:11] == ["model", "repo", *theirs]
    seen: list[dict[str, Any]] = []
    given = ("cpu", 0, 0.5, True, 0.5, 0, False, seen.append, {"song": 1})
    Separator(FakeTF(), None, *given).separate_tensor(noise(2, 300))
    separator = Separator(FakeTF())
    separator.update_parameter(*given)
    separator.separate_tensor(noise(2, 300))
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert first == second
    assert [each["segment_offset"] for each in first[::2]] == list(range(0, 300, 25))
    with pytest.raises(TypeError, match="update_parameter: multiple values for argument 'device'"):
        separator.update_parameter("cpu", device="cpu")


@pytest.mark.parametrize(
    ("gain", "wav", "error", "message"),
    [
        (np.nan, noise(2, 300), CheckpointError, "gives NaN .* for 'level', the first at sample 0"),
        (3e38, noise(2, 300), CheckpointError, "the model gives NaN or infinite samples"),
        (1, np.full((2, 300), 3e38, "float32"), AudioError, "too large to work with in float32"),
    ],
    ids=["NaN", "overflow", "loud"],
)
def test_it_says_whose_fault_it_is(
    gain: float, wav: Array, error: type[Exception], message: str
) -> None:
    """And NumPy warns of nothing."""
    with pytest.raises(error, match=message):
        Separator(FakeTF(gain=gain)).separate_tensor(wav)


# --- two stems, devices -----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["add", "minus", "none"])
def test_two_stems(method: Any) -> None:
    wav = noise(2, 700)
    origin, every = Separator(FakeTF(), seed=2).separate_tensor(wav)
    separator = Separator(FakeTF(), seed=2, two_stems="place", other_method=method)
    _, found = separator.separate_tensor(wav)
    wanted = {
        "add": {"place": every["place"], "no_place": every["level"] + every["before"]},
        "minus": {"place": every["place"], "minus_place": origin - every["place"]},
        "none": {"place": every["place"]},
    }[method]
    assert separator.stems == list(found) == list(wanted)
    for name, stem in wanted.items():
        assert np.array_equal(found[name], stem)


@pytest.mark.parametrize(("method", "running"), [("add", 3), ("minus", 1), ("none", 1)])
def test_only_the_members_that_are_needed_run(method: Any, running: int) -> None:
    seen = set()
    bag = BagOfModels([FakeTF(gain=gain) for gain in (1, 2, 3)], np.eye(3).tolist())
    separator = Separator(
        bag,
        two_stems="place",
        other_method=method,
        callback=lambda place: seen.add(place["model_idx_in_bag"]),
    )
    separator.separate_tensor(noise(2, 400))
    assert separator.members == (running, 3)
    assert seen == ({0, 1, 2} if method == "add" else {1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"two_stems": "drums"}, "two_stems must be of level, place, before, got 'drums'"),
        ({"other_method": "sum"}, "other_method must be one of add, minus, none, got 'sum'"),
        (
            {"engine": "turbo"},
            "engine must be one of auto, graph, xla, eager, litert, onnx, got 'turbo'",
        ),
        ({"jobs": -1}, "num_workers must be 0 or more"),
        ({"overlap": "x"}, "overlap must be at least 0 and below 1, got 'x'"),
        ({"shifts": "many"}, "shifts must be from 0 to 1000000, got 'many'"),
        ({"segment": [1]}, r"segment must be from 0.01 to 300 seconds, got \[1\]"),
        ({"segment": 0.0001}, "segment must be from 0.01 to 300 seconds, got 0.0001"),
        ({"segment": 3600}, "segment must be from 0.01 to 300 seconds, got 3600"),
        ({"overlap": 0.9999999}, "overlap 0.9999999 at 100 Hz moves by less than one sample from"),
        ({"shifts": 10**9}, "shifts must be from 0 to 1000000, got 1000000000"),
        ({"transition_power": None}, "transition_power must be 1 or more, got None"),
        ({"callback": 3}, "callback must be a function or None, got 3"),
        ({"callback_arg": 3}, "callback_arg must be a dictionary or None, got 3"),
        ({"seed": [1]}, "seed must be a number, a text or None"),
        ({"engine": ["auto"]}, "engine must be one of auto"),
    ],
)
def test_settings_that_can_not_be(options: dict[str, Any], message: str) -> None:
    """Found before there is a track, and not kept."""
    for model in (FakeTF(), BagOfModels([FakeTF()])):
        with pytest.raises(ValueError, match=message):
            Separator(model, **options)
        separator = Separator(model, shifts=0)
        with pytest.raises(ValueError, match=message):
            separator.update_parameter(**options)
        assert separator.separate_tensor(noise(2, 300))[0].shape == (2, 300)


class Fast(FakeTF):
    samplerate = 44100


def test_steps_that_would_take_days() -> None:
    """A track of a minute would be two million chunks."""
    separator = Separator(Fast(), overlap=0.99, shifts=0)
    with pytest.raises(ValueError, match=r"overlap 0\.9995 at 44100 Hz moves by less than 44 samp"):
        separator.update_parameter(overlap=0.9995)
    separator.update_parameter(overlap=0.9995, split=False)  # where there is one chunk


def test_what_is_short_is_given_no_more_room_than_it_needs() -> None:
    """Its windows would take a gigabyte, and its model sees the track alone."""
    wav = noise(2, 1000)
    _, wanted = Separator(Fast(), shifts=0, segment=1).separate_tensor(wav)
    separator = Separator(Fast(), shifts=0, segment=300)
    tracemalloc.start()
    try:
        _, found = separator.separate_tensor(wav)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
    for name, stem in wanted.items():
        assert snr_db(found[name], stem) > 120


@pytest.mark.parametrize("device", ["gpu:7", "toaster", "cuda:x"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(ValueError, match=f"device '{device}' is not there; TensorFlow has CPU:0"):
        Separator(FakeTF(), device=device).separate_tensor(noise(2, 400))


@pytest.mark.parametrize("engine", ["graph", "xla", "eager"])
def test_engines_agree(engine: str) -> None:
    wav = noise(2, 700)
    _, wanted = Separator(FakeTF(), seed=2, device="cpu").separate_tensor(wav)
    _, found = Separator(FakeTF(), seed=2, engine=engine).separate_tensor(wav)
    for name, stem in wanted.items():
        assert snr_db(found[name], stem) > 120


@pytest.mark.parametrize(
    ("stems", "runs"),
    [
        (["place"], 1),
        (["before", "level"], 2),
        (["no_level"], 2),
        (["place", "no_place"], 3),
    ],
)
def test_some_stems(stems: list[str], runs: int) -> None:
    """The stems that were asked for, in that order, by the models that they need."""
    sources = FakeTF.sources
    weights = [[float(i == j) for j in range(3)] for i in range(3)]
    bag = BagOfModels([FakeTF(), FakeTF(), FakeTF()], weights)
    wav = noise(2, 300)
    _, whole = Separator(bag, shifts=0).separate_tensor(wav)
    separator = Separator(bag, shifts=0, stems=stems)
    _, found = separator.separate_tensor(wav)
    assert list(found) == separator.stems == stems
    assert separator.members == (runs, 3)
    for name, stem in found.items():
        others = [whole[each] for each in sources if f"no_{each}" != name]
        wanted = whole[name] if name in sources else sum(others, start=np.zeros_like(wav))
        assert stem.tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stems": ["piano"]}, "stems must be of level, place, before, .*'piano'"),
        ({"stems": ["no_piano"]}, "'no_piano'"),
        ({"stems": []}, "names of stems, each once"),
        ({"stems": ["place", "place"]}, "names of stems, each once"),
        ({"stems": ["place"], "two_stems": "place"}, "exclude each other"),
    ],
)
def test_stems_that_there_are_not(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Separator(FakeTF(), **settings)


def test_a_model_that_is_not_there_costs_no_import_of_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from demucs_tf.errors import ModelNotFoundError\n"
        "from demucs_tf.inference.separator import Separator\n"
        "try:\n"
        "    Separator('none', repo=sys.argv[1])\n"
        "except ModelNotFoundError:\n"
        "    print('tensorflow' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
