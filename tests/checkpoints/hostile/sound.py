"""A sound file of each format, which hostile ones are made from, and what refusing is."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from demucs_tf.checkpoints.assemble import READERS
from demucs_tf.checkpoints.save import save_model
from demucs_tf.checkpoints.weights import read_state
from demucs_tf.errors import CheckpointError
from tests.checkpoints.test_load import small_model, write_package
from tests.fuzz.watch import MB, watched
from tests.support.headers import split

_GROWTH = 64 * MB


class Sound:
    """A small model in each format, and its parts."""

    def __init__(self, folder: Path) -> None:
        self.model = small_model()
        self.state = read_state(self.model)
        self.content: dict[str, bytes] = {}
        write_package(folder / "a.th", self.state)
        save_model(self.model, folder / "a.safetensors")
        save_model(self.model, folder / "a.keras")
        for suffix in READERS:
            path = folder / f"a{suffix}"
            READERS[suffix](path, "float32")  # imports and traces what any file does
            self.content[suffix] = path.read_bytes()
        with zipfile.ZipFile(folder / "a.keras") as archive:
            self.keras = {name: archive.read(name) for name in archive.namelist()}
        self.header, self.data = split(self.content[".safetensors"])


def check_refused(path: Path, match: str = ".") -> None:
    """One error, that names the file in one line; no event, no growth of the memory."""
    with watched() as seen, pytest.raises(CheckpointError, match=match) as caught:
        READERS[path.suffix](path, "float32")
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    assert "\x1b" not in message
    assert len(message) < len(str(path)) + 3000
    assert not seen.events
    assert seen.growth < _GROWTH
    assert type(caught.value) is CheckpointError
