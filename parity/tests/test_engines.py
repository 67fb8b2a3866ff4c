"""Graph mode and XLA give what eager mode gives, tensor by tensor, within the same tolerances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from parity.core.capture.port import Engine
from parity.report import text
from parity.tests.jobs import Job, Pool, engine_result, unknown_length

TENSORS = [
    "demucs-lstm-framed",
    "demucs-attention",
    "hdemucs-multi",
    "hdemucs-wiener2-residual",
    "htdemucs-plain",
    "htdemucs-tokens",
]
# On both sides of the 200 steps from which the LSTM cuts frames, of the 300 of the Wiener filter,
# and of the queries that attend at a time.
UNKNOWN_LENGTH = [
    "demucs-lstm-framed-edge",
    "hdemucs-old",
    "hdemucs-spectrogram",
    "hdemucs-wiener-windows",
    "hdemucs-dft",
    "htdemucs-shorter",
    "htdemucs-longer",
    "htdemucs-tokens",
]
ENGINES: list[Engine] = ["graph", "xla"]


def jobs(params: Mapping[str, Any], live: bool) -> list[Job]:
    """What a test below waits for."""
    if "engine" in params:
        return [(engine_result, params["name"], params["engine"])]
    return [(unknown_length, params["name"], params["jit_compile"])]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TENSORS)
def test_every_tensor(name: str, engine: Engine, pool: Pool) -> None:
    result = pool.result(engine_result, name, engine)
    assert result.verdict == "pass", text.details(result)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("name", UNKNOWN_LENGTH)
def test_unknown_length(name: str, jit_compile: bool, pool: Pool) -> None:
    assert pool.result(unknown_length, name, jit_compile) == []
