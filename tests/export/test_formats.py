"""What an exported file computes, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from demucs_tf.checkpoints.weights import read_state
from demucs_tf.export import export_model, read_metadata
from tests.export.models import (
    KINDS,
    expected,
    fixed_input,
    float32_constants,
    model,
    separated,
    snr,
)

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


@pytest.mark.parametrize(
    ("suffix", "weights", "half"),
    [(".tflite", "int8", False), (".tflite", "int8", True), (".onnx", "float16", False)],
)
def test_the_smallest_weights_are_not_narrowed(
    suffix: str, weights: str, half: bool, tmp_path: Path
) -> None:
    """Three halves of a percent of the numbers; float16 loses nothing of half precision anyway."""
    made = model("demucs", channels=16, depth=4, dconv_mode=0)
    for variable in made.variables if half else ():
        variable.assign(np.asarray(variable).astype(np.float16).astype(np.float32))
    path = tmp_path / f"narrow{suffix}"
    export_model(made, path, suffix[1:], weights=weights)
    wide = np.abs(np.concatenate(list(float32_constants(path))))
    kernels = sorted((np.asarray(v) for v in made.variables if v.ndim > 1), key=np.size)
    sizes = [each.size for each in kernels]
    wanted = [sum(sizes[: n + 1]) <= 0.015 * sum(sizes) for n in range(len(sizes))]
    assert 2 <= sum(wanted) <= len(sizes) - 2
    assert [np.isin(np.abs(each), wide).all() for each in kernels] == wanted


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
