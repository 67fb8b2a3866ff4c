"""Stems on disk: what is read, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from demucs_tf.errors import DemucsTFError, TrainingError
from demucs_tf.training.stems import StemFolder
from tests.training.folders import STEMS, noise, write_piece, write_pieces


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_excerpts_are_what_the_files_have(tmp_path: Path, suffix: str) -> None:
    write_pieces(tmp_path, suffix=suffix)
    folder = StemFolder(tmp_path, STEMS)
    assert [piece.name for piece in folder.pieces] == ["piece0", "piece1", "piece2"]
    assert folder.seconds == pytest.approx(1.5)
    whole, _ = soundfile.read(tmp_path / "piece1" / f"bass{suffix}", dtype="float32")
    part = folder.pieces[1].read("bass", 100, 50)
    np.testing.assert_array_equal(part, whole[100:150].T)
    end = folder.pieces[1].read("bass", len(whole) - 10, 30)
    np.testing.assert_array_equal(end[:, :10], whole[-10:].T)
    assert not end[:, 10:].any()
    assert end.shape == (2, 30)


def test_a_part_of_one_piece(tmp_path: Path) -> None:
    write_pieces(tmp_path)
    folder = StemFolder(tmp_path / "piece1", STEMS)
    (whole,) = folder.pieces
    (end,) = folder.part(0.6, 1.0).pieces
    assert (whole.name, end.first, end.frames) == ("piece1", 13230, 8820)
    wanted = whole.read("bass", 13230, 8820)
    np.testing.assert_array_equal(end.read("bass", 0, 8820), wanted)
    (begin,) = folder.part(0.0, 0.6).pieces
    beyond = begin.read("bass", 13000, 500)
    np.testing.assert_array_equal(beyond[:, :230], whole.read("bass", 13000, 230))
    assert not beyond[:, 230:].any()
    assert folder.fingerprint != folder.part(0.0, 0.6).fingerprint


def _missing(piece: Path) -> None:
    (piece / "vocals.wav").unlink()


def _short(piece: Path) -> None:
    soundfile.write(piece / "bass.wav", noise(np.random.default_rng(0), 1, 99), 44100)


def _other_rate(piece: Path) -> None:
    soundfile.write(piece / "bass.wav", noise(np.random.default_rng(0), 1, 22050), 48000)


def _mono(piece: Path) -> None:
    soundfile.write(piece / "bass.wav", noise(np.random.default_rng(0), 1, 22050)[:, :1], 44100)


def _silent(piece: Path) -> None:
    soundfile.write(piece / "drums.wav", np.zeros((22050, 2)), 44100)


def _clipped(piece: Path) -> None:
    wav = noise(np.random.default_rng(0), 1, 22050)
    wav[1000:1008] = 1.0
    soundfile.write(piece / "other.wav", wav, 44100, subtype="PCM_16")


def _text(piece: Path) -> None:
    (piece / "other.wav").write_text("no audio")


def _nan(piece: Path) -> None:
    wav = noise(np.random.default_rng(0), 1, 22050)
    wav[7] = np.nan
    soundfile.write(piece / "other.wav", wav, 44100, subtype="FLOAT")


def _mixture(piece: Path) -> None:
    soundfile.write(piece / "mixture.wav", np.full((99, 2), 0.1), 44100)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_missing, r"piece1: expected the stems drums, bass, other, vocals, and vocals is missing"),
        (_short, r"piece1: expected files of one length, found samples: drums 22050, bass 99,"),
        (_other_rate, r"bass\.wav: expected 44100 Hz, found 48000 Hz\. Resample it"),
        (_mono, r"bass\.wav: expected 2 channels, found 1"),
        (_silent, r"drums\.wav: silent throughout"),
        (_clipped, r"other\.wav: clipped, 8 samples or more in a row .* from sample 1000 on"),
        (_text, r"other\.wav: expected WAV or FLAC"),
        (_nan, r"other\.wav: expected finite samples, found at least 2 NaN"),
        (_mixture, r"piece1: expected files of one length, found samples: .* mixture 99"),
    ],
)
def test_what_can_not_be_learnt_from_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    write_pieces(tmp_path)
    spoil(tmp_path / "piece1")
    with pytest.raises(DemucsTFError, match=message) as caught:
        StemFolder(tmp_path, STEMS)
    assert "\n" not in str(caught.value)


def test_a_silent_stem_passes_without_the_scan(tmp_path: Path) -> None:
    write_pieces(tmp_path)
    _silent(tmp_path / "piece1")
    assert len(StemFolder(tmp_path, STEMS, scan=False).pieces) == 3


def test_a_peak_at_full_scale_is_not_clipped(tmp_path: Path) -> None:
    wav = noise(np.random.default_rng(0), 1, 4410)
    wav[1000:1007] = 1.0
    write_piece(tmp_path / "piece", dict.fromkeys(STEMS, wav))
    assert len(StemFolder(tmp_path, STEMS).pieces) == 1


@pytest.mark.parametrize("what", ["nothing", "empty"])
def test_a_folder_without_pieces(tmp_path: Path, what: str) -> None:
    folder = tmp_path / what
    if what == "empty":
        (folder / "no stems").mkdir(parents=True)
    with pytest.raises(TrainingError, match=r"expected (a folder of pieces|folders PIECE/)"):
        StemFolder(folder, STEMS)


def test_a_stem_that_goes_away_while_training(tmp_path: Path) -> None:
    write_pieces(tmp_path)
    folder = StemFolder(tmp_path, STEMS)
    shutil.rmtree(tmp_path / "piece0")
    with pytest.raises(TrainingError, match=r"drums\.wav: it can't be read any more"):
        folder.pieces[0].read("drums", 0, 10)
