"""Batches: a function of seed and step; augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from demucs_tf.training.augment import NONE, Augmentation
from demucs_tf.training.batches import Batches
from demucs_tf.training.stems import StemFolder
from tests.training.folders import STEMS, write_pieces


@pytest.fixture
def folder(tmp_path: Path) -> StemFolder:
    return StemFolder(write_pieces(tmp_path), STEMS)


def test_a_batch_depends_on_seed_and_step_alone(folder: StemFolder) -> None:
    one, two = (Batches(folder, 2, 0.1, Augmentation(), seed=3) for _ in range(2))
    for step in (5, 0, 5):
        for a, b in zip(one.batch(step), two.batch(step), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.batch(0)[1], one.batch(1)[1])
    other = Batches(folder, 2, 0.1, Augmentation(), seed=4)
    assert not np.array_equal(one.batch(0)[1], other.batch(0)[1])


def test_the_dataset_gives_the_batches_in_order(folder: StemFolder) -> None:
    batches = Batches(folder, 2, 0.1, Augmentation(), seed=3, dtype="float64")
    found = list(batches.dataset(4, 9))
    assert len(found) == 5
    for step, (mix, stems) in enumerate(found, start=4):
        wanted_mix, wanted = batches.batch(step)
        np.testing.assert_array_equal(np.asarray(mix), wanted_mix)
        np.testing.assert_array_equal(np.asarray(stems), wanted)
        assert stems.shape == (2, 4, 2, 4410)


def test_the_mixture_is_the_sum(folder: StemFolder) -> None:
    mix, stems = Batches(folder, 2, 0.1, Augmentation()).batch(0)
    np.testing.assert_array_equal(mix, stems.sum(axis=1))


def test_without_augmentation_stems_are_the_files(folder: StemFolder) -> None:
    batches = Batches(folder, 1, 0.1, NONE, seed=1)
    _, stems = batches.batch(0)
    piece = next(p for p in folder.pieces if f" of {p.name} at" in batches.origin(0))
    whole = np.stack([piece.read(stem, 0, piece.frames) for stem in STEMS])
    starts = [t for t in range(piece.frames - 4410 + 1) if (whole[0, 0, t] == stems[0, 0, 0, 0])]
    assert any(np.array_equal(whole[..., t : t + 4410], stems[0]) for t in starts)
    assert batches.origin(0).count(piece.name) == 4


def test_remix_takes_stems_from_different_pieces(folder: StemFolder) -> None:
    batches = Batches(folder, 8, 0.1, Augmentation(remix=1.0))
    names = {name for name in ("piece0", "piece1", "piece2") if name in batches.origin(0)}
    assert names == {"piece0", "piece1", "piece2"}
    first = batches.origin(0).split("; ")
    assert any(len({part.split(" of ")[1] for part in item.split(", ")}) > 1 for item in first)


def test_gain_signs_and_channels() -> None:
    wav = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    seen = set()
    for seed in range(200):
        changed = Augmentation(gain=(0.5, 0.75)).change(wav, np.random.default_rng(seed))
        factor = changed[0, 0] / (wav[0, 0] if abs(changed[0, 0]) < 1 else wav[1, 0])
        assert 0.5 <= abs(factor) <= 0.75
        seen.add((np.sign(changed[0, 0]), abs(changed[0, 0]) > abs(changed[1, 0])))
    assert len(seen) == 4
    np.testing.assert_array_equal(NONE.change(wav, np.random.default_rng(0)), wav)


def test_a_short_piece_is_followed_by_silence(tmp_path: Path) -> None:
    folder = StemFolder(write_pieces(tmp_path, 1, seconds=0.05), STEMS)
    _, stems = Batches(folder, 1, 0.1).batch(0)
    assert stems[..., :2205].any()
    assert not stems[..., 2205:].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"remix": 1.5}, "remix must be a share from 0 to 1, got 1.5"),
        ({"gain": (0.0, 1.0)}, "gain must be two factors above 0"),
        ({"gain": (2.0, 1.0)}, "gain must be two factors above 0"),
    ],
)
def test_bad_augmentations(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**arguments)  # type: ignore[arg-type]
