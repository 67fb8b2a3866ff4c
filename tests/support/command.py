"""Runs the command, and looks at what it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from demucs_tf.audio.reader import read_audio
from demucs_tf.cli.main import main

SOURCES = ["drums", "bass", "other", "vocals"]
RATE = 8000


def files(path: Path | str) -> list[str]:
    """Every file below `path`, hidden ones too."""
    return sorted(str(p.relative_to(path)) for p in Path(path).rglob("*") if p.is_file())


def stems(path: str = "separated/tiny/song", suffix: str = ".wav") -> dict[str, Any]:
    return {p.stem: read_audio(p)[0] for p in Path(path).glob(f"*{suffix}")}


def run(*arguments: str | Path, status: int = 0) -> None:
    assert main(["separate", *map(str, arguments)]) == status


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What is printed with exit status 2."""
    with pytest.raises(SystemExit) as exit_:
        main(["separate", *map(str, arguments)])
    assert exit_.value.code == 2
    return capsys.readouterr().err
