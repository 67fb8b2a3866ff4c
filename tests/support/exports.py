"""Tiny models as exported files, and what such a file does with chunks."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import keras

import demucs_tf
from demucs_tf.export import export_model, read_metadata
from tests.support.tiny_models import TRANSFORMER

RATE = 8000
SOURCES = ["a", "b"]
SUFFIXES = {"tflite": ".tflite", "onnx": ".onnx", "saved-model": ""}


def tiny(kind: str, seed: int = 0) -> Any:
    """A "demucs" or an "htdemucs" of 1 s with random weights."""
    keras.utils.set_random_seed(seed)
    if kind == "demucs":
        return demucs_tf.DemucsTF(SOURCES, channels=4, depth=2, samplerate=RATE, segment=1)
    return demucs_tf.HTDemucsTF(SOURCES, **{**TRANSFORMER, "samplerate": RATE, "segment": 1})


def export_tiny(folder: Path, kind: str, format: str, seed: int = 0, **options: Any) -> Path:
    """Export `tiny(kind, seed)` into a folder: a copy of what this process has made once."""
    made = _made(kind, format, seed, **options)
    path = folder / made.name
    if made.is_dir():
        shutil.copytree(made, path)
    else:
        shutil.copy(made, path)
    return path


@cache
def _made(kind: str, format: str, seed: int, **options: Any) -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / f"{kind}-{seed}{SUFFIXES[format]}"
    export_model(tiny(kind, seed), path, format, name=f"tiny {kind}", **options)
    return path


def as_in(path: Path, model: Any) -> Any:
    """The model with the lengths of its exported file."""
    about = read_metadata(path)
    return model if about.any_length else FixedLength(model, about.length)


class FixedLength:
    """A model whose chunks are all padded to one length, as those of a file are."""

    def __init__(self, model: Any, length: int) -> None:
        self.model, self.length = model, length
        names = ["sources", "audio_channels", "samplerate", "segment", "compute_dtype", "variables"]
        names += ["training_length", "draw_shift"] if hasattr(model, "draw_shift") else []
        for name in names:
            setattr(self, name, getattr(model, name))

    def valid_length(self, length: int) -> int:
        return self.length

    def __call__(self, *inputs: Any) -> Any:
        return self.model(*inputs)
