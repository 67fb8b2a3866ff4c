"""A small model and a track, for the tests of the command."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from tests.support.command import RATE, SOURCES
from tests.support.fakes import noise


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Demucs with random weights, saved as tiny.keras."""
    import keras

    from demucs_tf import DemucsTF

    keras.utils.set_random_seed(0)
    model = DemucsTF(SOURCES, channels=4, depth=2, dconv_mode=0, samplerate=RATE, segment=1)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.keras"
    model.save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, with a stereo track of 2 s in it."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", noise(2, 2 * RATE).T, RATE, subtype="FLOAT")
    return tmp_path
