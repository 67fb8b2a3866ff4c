"""Archives, `.th` and `.keras`: two contents in one file, and whatever else lets readers differ."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from demucs_tf.checkpoints.assemble import READERS
from demucs_tf.checkpoints.weights import read_state
from tests.checkpoints.hostile.sound import Sound, check_refused
from tests.support.archives import ARCHIVES, BENT, SOUND, Archive, as_stated, two_directories


@pytest.mark.parametrize("suffix", ARCHIVES)
@pytest.mark.parametrize("name", BENT)
def test_an_archive_that_can_be_read_otherwise(
    tmp_path: Path, sound: Sound, name: str, suffix: str
) -> None:
    archive = Archive.of(sound.content[suffix])
    change, match = BENT[name]
    change(archive)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(archive.bytes())
    check_refused(path, match)


@pytest.mark.parametrize("suffix", ARCHIVES)
@pytest.mark.parametrize("name", SOUND)
def test_what_writers_of_archives_do_is_read(
    tmp_path: Path, sound: Sound, name: str, suffix: str
) -> None:
    archive = Archive.of(sound.content[suffix])
    SOUND[name](archive)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(archive.bytes())
    loaded = read_state(READERS[suffix](path, "float32"))
    for key, array in sound.state.items():
        np.testing.assert_array_equal(loaded[key], array, strict=True)


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_two_contents_in_one_file(tmp_path: Path, sound: Sound, suffix: str) -> None:
    """Python's zipfile finds the sound one, PyTorch's reader the other; tests/parity runs that."""
    content = sound.content[suffix]
    archive = Archive.of(content)
    archive.entries[0].data += b"something else"
    both = two_directories(content, archive.bytes())
    with zipfile.ZipFile(io.BytesIO(both)) as seen, zipfile.ZipFile(io.BytesIO(content)) as good:
        assert seen.namelist() == good.namelist()
        assert all(seen.read(name) == good.read(name) for name in good.namelist())
        assert as_stated(content) == {name: good.read(name) for name in good.namelist()}
    assert as_stated(both) == as_stated(archive.bytes())
    path = tmp_path / f"a{suffix}"
    path.write_bytes(both)
    check_refused(path, "does not end where its end record begins")
