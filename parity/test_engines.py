"""Graph mode and XLA give what eager mode gives, tensor by tensor, within the same tolerances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity import text
from parity.cases import BY_NAME
from parity.compare import compare
from parity.port import Engine
from parity.run import make_port, run_case, stored_expected
from parity.seeding import seeded_random
from parity.tolerances import tolerance

TENSORS = [
    "demucs-lstm-framed",
    "demucs-attention",
    "hdemucs-default",
    "hdemucs-multi",
    "hdemucs-wiener2-residual",
    "htdemucs-default",
    "htdemucs-tokens",
]
# On both sides of the 200 steps from which the LSTM cuts frames, of the 300 of the Wiener filter,
# and of the queries that attend at a time.
UNKNOWN_LENGTH = [
    "demucs-lstm-framed-edge",
    "hdemucs-lstm-framed",
    "hdemucs-old",
    "hdemucs-spectrogram",
    "hdemucs-wiener-windows",
    "hdemucs-wiener2-residual",
    "hdemucs-dft",
    "htdemucs-shorter",
    "htdemucs-longer",
    "htdemucs-cape",
    "htdemucs-tokens",
]


@pytest.mark.parametrize("engine", ["graph", "xla"])
@pytest.mark.parametrize("name", TENSORS)
def test_every_tensor(name: str, engine: Engine) -> None:
    result = run_case(
        BY_NAME[name], "float32", mode="cumulative", engine=engine, probe_parameters=False
    )
    assert result.verdict == "pass", text.details(result)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("name", UNKNOWN_LENGTH)
def test_unknown_length(name: str, jit_compile: bool) -> None:
    """One trace for every length and batch."""
    import tensorflow as tf

    case = BY_NAME[name]
    expected = stored_expected(case)
    model = make_port(case, "float32")
    signature = [tf.TensorSpec([None, model.audio_channels, None], tf.float32)]
    graph = tf.function(model, input_signature=signature, jit_compile=jit_compile)
    limit = tolerance(expected.events[-1], 0, "cumulative", "float32")
    mix = expected.mix.astype(np.float32)
    wanted = expected.events[-1].outputs[0]
    found = _run(graph, mix)
    difference = compare(found, wanted, limit, dtype="float32")
    assert difference.passed, difference.reason

    shorter = mix[..., : mix.shape[-1] * 2 // 3]
    eager = np.asarray(_run(model, shorter), np.float64)
    difference = compare(_run(graph, shorter), eager, 4 * limit, dtype="float32")
    assert difference.passed, difference.reason


def _run(function: Any, mix: Any) -> Any:
    """A call, as the golden was made: a transformer draws its shift while it is traced."""
    with seeded_random():
        return np.asarray(function(mix))
