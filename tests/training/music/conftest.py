"""A stand-in for FluidSynth, so that all around it is tested where it is not installed."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from examples.music.instruments import FONTS


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of fonts, each a text file that says how `stand_in.py` is to behave."""
    programs, fonts = tmp_path / "bin", tmp_path / "fonts"
    programs.mkdir()
    fonts.mkdir()
    script = programs / "fluidsynth"
    code = Path(__file__).with_name("stand_in.py")
    script.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(code)])} "$@"\n')
    script.chmod(0o755)
    for font in FONTS.values():
        (fonts / font.file).write_text("fine")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SOUNDFONTS", str(fonts))
    return fonts
