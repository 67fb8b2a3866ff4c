"""Tracks as streams: the same bits as in memory, and memory that does not grow with the length."""

from __future__ import annotations

import random
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from demucs_tf import AudioError, BagOfModels, Separator
from demucs_tf.audio.convert import blocks_of
from demucs_tf.audio.reader import open_audio
from demucs_tf.inference import single
from demucs_tf.inference.apply import Application
from demucs_tf.inference.arrays import DiskArray, Levelled, ZeroPadded, in_memory
from demucs_tf.inference.settings import Settings
from demucs_tf.inference.single import Job
from tests.inference.test_apply_bag import WEIGHTS, Drawing, bag_of
from tests.support.fakes import Array, FakeTF, PaddedFakeTF, noise


def streamed(separator: Separator, path: Path) -> tuple[Array, dict[str, Array], int]:
    """The stream put together again, and the length of its longest piece."""
    with open_audio(path) as audio:
        pieces = list(separator.stream(audio))
    origin = np.concatenate([piece for piece, _ in pieces], axis=-1)
    stems = {
        name: np.concatenate([stems[name] for _, stems in pieces], axis=-1)
        for name in separator.stems
    }
    return origin, stems, max(piece.shape[-1] for piece, _ in pieces)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shifts": 0},
        {"shifts": 3, "overlap": 0.4},
        {"segment": 0.37},
        {"split": False},
        {"batch_size": 3},
        {"jobs": 2},
        {"two_stems": "place", "other_method": "minus"},
        {"two_stems": "place"},
    ],
    ids=str,
)
@pytest.mark.parametrize("weights", [None, *WEIGHTS.values()], ids=["one model", *WEIGHTS])
def test_equals_the_one_in_memory_bit_by_bit(
    weights: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    model: Any = bag_of(Drawing, weights) if weights else PaddedFakeTF()
    soundfile.write(tmp_path / "a.wav", noise(2, 2311).T, 147, subtype="FLOAT")
    separator = Separator(model, seed=4, **options)
    origin, stems = separator.separate_file(tmp_path / "a.wav")
    same_origin, same_stems, longest = streamed(separator, tmp_path / "a.wav")
    assert np.array_equal(origin, same_origin)
    for name, stem in stems.items():
        assert np.array_equal(stem, same_stems[name])
    assert longest <= 100 or not options.get("split", True)


def test_float64(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(2, 900).T, 100, subtype="DOUBLE")
    separator = Separator(PaddedFakeTF("float64"), seed=4, shifts=2)
    _, stems = separator.separate_file(tmp_path / "a.wav")
    _, same, _ = streamed(separator, tmp_path / "a.wav")
    for name, stem in stems.items():
        assert stem.dtype == np.float64
        assert np.array_equal(stem, same[name])


def test_no_more_than_a_window_is_asked_for(tmp_path: Path) -> None:
    """The longest range that is read of the track is what one chunk needs."""
    asked: list[int] = []
    before = DiskArray.__getitem__

    def note(self: DiskArray, key: Any) -> Array:
        asked.append(key[1].stop - key[1].start)
        return before(self, key)

    soundfile.write(tmp_path / "a.wav", noise(2, 9000).T, 100, subtype="FLOAT")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiskArray, "__getitem__", note)
        patch.setattr("demucs_tf.inference.arrays.blocks_of", lambda x: blocks_of(x, 256))
        streamed(Separator(BagOfModels([FakeTF(), FakeTF()]), shifts=2), tmp_path / "a.wav")
    assert max(asked) <= 256


def test_blocks_are_short_however_long_a_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    model, mix = bag_of(Drawing, WEIGHTS["weighted"]), noise(1, 2, 900)
    settings = Settings(shifts=2, seed=0, overlap=0.4)
    whole = np.concatenate([*Application(model, settings).blocks(mix)], axis=-1)
    monkeypatch.setattr(single, "_BLOCK", 7)
    blocks = [*Application(model, settings).blocks(mix)]
    assert max(block.shape[-1] for block in blocks) == 7
    assert np.array_equal(np.concatenate(blocks, axis=-1), whole)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_what_a_model_gave_is_let_go_before_it_runs_again(batch_size: int) -> None:
    given: list[weakref.ref[Array]] = []

    def forward(mix: Array) -> Array:
        assert all(there() is None for there in given)
        out = np.repeat(mix[:, None], 3, axis=1)
        given.append(weakref.ref(out))
        return out

    settings = Settings(shifts=0, batch_size=batch_size)
    job = Job(FakeTF(), settings, random.Random(0), forward, {}, in_memory)
    for _ in job.blocks(noise(1, 2, 500)):
        pass
    assert len(given) == -(-7 // batch_size)


def test_a_sum_is_let_go_when_it_has_been_added_up(tmp_path: Path) -> None:
    """The track, the sum over the bag, and the sum over the shifts of the model that runs."""
    there: list[DiskArray] = []
    most = 0

    def made(self: DiskArray, *arguments: Any, **options: Any) -> None:
        nonlocal most
        before(self, *arguments, **options)
        there.append(self)
        most = max(most, sum(not array._file.closed for array in there))

    soundfile.write(tmp_path / "a.wav", noise(2, 900).T, 100)
    before = DiskArray.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiskArray, "__init__", made)
        streamed(Separator(BagOfModels([FakeTF()] * 4), shifts=2), tmp_path / "a.wav")
    assert len(there) == 6
    assert most == 3
    assert all(array._file.closed for array in there)


def test_abandoning_a_stream_closes_its_files(tmp_path: Path) -> None:
    """An open temporary file would be a ResourceWarning, which is an error here."""
    soundfile.write(tmp_path / "a.wav", noise(2, 900).T, 100)
    with open_audio(tmp_path / "a.wav") as audio:
        pieces = Separator(BagOfModels([FakeTF(), FakeTF()]), shifts=2).stream(audio, tmp_path)
        origin, _ = next(pieces)
        assert 0 < origin.shape[-1] <= 75
        pieces.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_too_short_a_track(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(2, 1).T, 100)
    with open_audio(tmp_path / "a.wav") as audio, pytest.raises(AudioError, match="at least 2"):
        list(Separator(FakeTF()).stream(audio))


# --- arrays -----------------------------------------------------------------------------------


def test_disk_arrays_give_back_what_they_were_given(tmp_path: Path) -> None:
    wanted = noise(1, 3, 2, 50)
    with DiskArray((1, 3, 2, 0), np.dtype("float32"), tmp_path) as stored:
        for start in range(0, 50, 7):
            stored.append(wanted[..., start : start + 7])
        assert stored.shape == wanted.shape
        assert np.array_equal(stored[..., 13:41], wanted[..., 13:41])
        stored[..., 20:25] = wanted[..., :5]
        assert np.array_equal(
            stored[..., 18:27],
            np.concatenate([wanted[..., 18:20], wanted[..., :5], wanted[..., 25:27]], axis=-1),
        )
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("start", range(0, 17, 3))
@pytest.mark.parametrize("stop", range(0, 17, 4))
def test_zeros_around(start: int, stop: int) -> None:
    if stop < start:
        start, stop = stop, start
    samples = noise(2, 6)
    padded = ZeroPadded(samples, 5)
    assert padded.shape == (2, 16)
    whole = np.pad(samples, [(0, 0), (5, 5)])
    assert np.array_equal(padded[..., start:stop], whole[..., start:stop])


def test_levelled() -> None:
    samples = noise(2, 9)
    mean, std = np.float32(0.3), np.float32(2)
    levelled = Levelled(samples, mean, std)
    assert levelled.shape == (1, 2, 9)
    assert np.array_equal(levelled[..., 2:5], ((samples - mean) / std)[None, :, 2:5])
