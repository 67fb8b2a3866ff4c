"""What concerns every format, the control of the watch, and the count of all cases."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from demucs_tf.checkpoints.assemble import READERS
from demucs_tf.errors import ModelNotFoundError
from tests.checkpoints.hostile.sound import Sound, check_refused
from tests.checkpoints.hostile.test_keras_files import KERAS
from tests.checkpoints.hostile.test_packages import GLOBALS, TH
from tests.checkpoints.hostile.test_safetensors_files import CLASS_NAMES, ST
from tests.fuzz.watch import MB, watched


@pytest.mark.parametrize("suffix", READERS)
def test_a_truncated_file(tmp_path: Path, sound: Sound, suffix: str) -> None:
    content = sound.content[suffix]
    offsets = np.unique(np.linspace(0, len(content) - 1, 60).astype(int)).tolist()
    assert len(offsets) >= 50
    for offset in [*offsets, 1, 7, 8, 9]:
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content[:offset])
        check_refused(path)


@pytest.mark.parametrize("suffix", READERS)
def test_a_file_of_another_format(tmp_path: Path, sound: Sound, suffix: str) -> None:
    for other in READERS:
        path = tmp_path / f"a{suffix}"
        path.write_bytes(sound.content[other])
        if other != suffix:
            check_refused(path)


@pytest.mark.parametrize("suffix", READERS)
def test_what_is_no_regular_file(tmp_path: Path, sound: Sound, suffix: str) -> None:
    folder, pipe = tmp_path / f"folder{suffix}", tmp_path / f"pipe{suffix}"
    folder.mkdir()
    os.mkfifo(pipe)
    special = [folder, pipe]
    for target in (folder, pipe, Path("/dev/zero"), Path("/dev/tty")):
        if target.exists():
            special.append(tmp_path / f"to-{target.stem}{suffix}")
            special[-1].symlink_to(target)
    for path in special:
        check_refused(path, "can't be read")


@pytest.mark.parametrize("suffix", READERS)
def test_links(tmp_path: Path, sound: Sound, suffix: str) -> None:
    (tmp_path / "real").write_bytes(sound.content[suffix])
    link = tmp_path / f"link{suffix}"
    link.symlink_to("real")
    assert READERS[suffix](link, "float32").sources == ["a", "b"]
    link.unlink()
    link.symlink_to("none")
    with pytest.raises(ModelNotFoundError, match="no such file"):
        READERS[suffix](link, "float32")
    link.unlink()
    link.symlink_to(link.name)
    check_refused(link, "can't be read")


def test_the_watch_sees_what_it_should(tmp_path: Path) -> None:
    """The control: without it, the tests above could pass on a watch that sees nothing."""
    import subprocess

    with watched() as seen:
        subprocess.run(["true"], check=True)
        os.system("true")
        (tmp_path / "x").write_text("x")
        eval("1")
        content = b"x" * (80 * MB)
    kinds = {event.partition(" ")[0] for event in seen.events}
    assert kinds >= {"subprocess.Popen", "os.system", "open", "exec", "compile"}
    assert seen.growth > 70 * MB
    assert len(content) == 80 * MB
    with watched() as seen:
        (tmp_path / "x").read_text()
        os.stat(tmp_path)
    assert not seen.events
    assert seen.growth < 10 * MB


def test_there_are_enough_of_them() -> None:
    assert len(TH) + len(ST) + len(KERAS) + len(CLASS_NAMES) + len(GLOBALS) >= 200
