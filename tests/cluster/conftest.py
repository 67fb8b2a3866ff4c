"""A small model, and an album."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from tests.support.fakes import noise
from tests.support.tiny_models import write_tiny

RATE = 44100


@pytest.fixture(scope="session")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model named tiny."""
    return write_tiny(tmp_path_factory.mktemp("models") / "repo", "tiny")


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `album` in the current one: three tracks of a second, and a file that is none."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "album"
    (folder / "two").mkdir(parents=True)
    for seed, name in enumerate(("a.wav", "b.flac", "two/a.wav")):
        soundfile.write(folder / name, noise(2, RATE, seed=seed).T, RATE)
    (folder / "c.wav").write_bytes(b"no audio")
    return folder
