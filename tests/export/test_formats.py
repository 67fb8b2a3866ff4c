"""What an exported file computes, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from demucs_tf.checkpoints.weights import read_state
from demucs_tf.export import read_metadata
from tests.export.models import KINDS, expected, fixed_input, model, separated, snr

Exported = Callable[..., Path]
FLOAT32 = [(kind, format) for kind in KINDS for format in ("saved-model", "tflite", "onnx")]
NARROW = [
    (kind, format, weights)
    for kind in KINDS
    for format, weights in (("tflite", "float16"), ("tflite", "int8"), ("onnx", "float16"))
]


@pytest.mark.parametrize(("kind", "format"), FLOAT32)
def test_it_computes_what_the_model_does(exported: Exported, kind: str, format: str) -> None:
    path = exported(kind, format)
    mix = fixed_input(path)
    assert snr(expected(model(kind), mix), separated(path, mix)) >= 100


@pytest.mark.parametrize(("kind", "format", "weights"), NARROW)
def test_narrow_weights_are_close(exported: Exported, kind: str, format: str, weights: str) -> None:
    path = exported(kind, format, weights)
    mix = fixed_input(path)
    found = snr(expected(model(kind), mix), separated(path, mix))
    assert found >= {"float16": 60, "int8": 35}[weights]


@pytest.mark.parametrize(("kind", "format"), FLOAT32)
def test_it_says_what_it_is(exported: Exported, kind: str, format: str) -> None:
    made, found = model(kind), read_metadata(exported(kind, format))
    assert found.model == type(made).__name__
    assert list(found.sources) == made.sources
    assert (found.samplerate, found.audio_channels) == (made.samplerate, 2)
    assert found.segment == int(made.segment * made.samplerate)
    assert found.length >= found.segment
    assert found.weights == "float32"
    assert sum(array.size for array in read_state(made).values()) == made.count_params()
