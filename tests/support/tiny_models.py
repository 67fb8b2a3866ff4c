"""Tiny models with random weights, and files of them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

import demucs_tf
from demucs_tf.checkpoints.weights import load_state, read_state

SOURCES = ["drums", "bass", "other", "vocals"]
ARGUMENTS: dict[str, Any] = {"channels": 4, "depth": 1, "lstm_layers": 0, "resample": False}
TRANSFORMER: dict[str, Any] = {
    "channels": 4,
    "nfft": 256,
    "depth": 2,
    "dconv_comp": 2,
    "t_heads": 1,
    "t_layers": 1,
    "samplerate": 44100,
    "segment": 0.4,
}


def tiny_model(seed: int, sources: list[str] = SOURCES, dtype: str = "float32") -> Any:
    """A small `DemucsTF`; another seed gives other weights."""
    model = demucs_tf.DemucsTF(sources, **ARGUMENTS, dtype=dtype)
    generator = np.random.default_rng(seed)
    state = {key: generator.normal(size=a.shape) for key, a in read_state(model).items()}
    load_state(model, state)
    return model


@functools.cache
def tiny_bytes(seed: int, dtype: str = "float32", sources: tuple[str, ...] = ()) -> bytes:
    """A `.safetensors` file of `tiny_model(seed)`, as the reference publishes them."""
    from safetensors.numpy import save

    names = list(sources or SOURCES)
    metadata = {
        "klass": "demucs.demucs.Demucs",
        "args": "[]",
        "kwargs": json.dumps({"sources": names, **ARGUMENTS}),
    }
    return save(read_state(tiny_model(seed, names, dtype)), metadata)


def write_tiny(folder: Path, *signatures: str) -> Path:
    """A folder of models, each with weights of its own: the first has those of seed 0."""
    folder.mkdir(exist_ok=True)
    for seed, signature in enumerate(signatures):
        (folder / f"{signature}.safetensors").write_bytes(tiny_bytes(seed))
    return folder
