"""The model that is in the package itself; beside its file stand its licence and recipe."""

from __future__ import annotations

from pathlib import Path

NAME = "demo"
FOLDER = Path(__file__).parent.parent / NAME
WORTH = "a small model trained on rendered music, which is not as good as the published ones"


def path() -> Path:
    """Where its file is."""
    return FOLDER / f"{NAME}.safetensors"
