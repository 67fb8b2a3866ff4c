"""How long one chunk of the time-domain model takes; what it gives is verified first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity.core.compare import compare

SECONDS = 4
# A chunk of the same sum in another order of operations: XLA fuses, eager does not.
TOLERANCE = 1e-5


@pytest.fixture(scope="module", name="model")
def _model() -> Any:
    """The published layout at a quarter of its width, with seeded weights."""
    import keras

    from demucs_tf import DemucsTF

    keras.utils.set_random_seed(1)
    return DemucsTF(["drums", "bass", "other", "vocals"], channels=16)


@pytest.fixture(scope="module", name="mix")
def _mix() -> Any:
    shape = (1, 2, SECONDS * 44_100)
    return np.random.default_rng(1).uniform(-0.5, 0.5, shape).astype(np.float32)


@pytest.mark.parametrize("way", ["eager", "graph", "xla"])
def test_one_chunk(benchmark: Any, model: Any, mix: Any, way: str) -> None:
    """Time a call, after the first one, which traces and compiles."""
    import tensorflow as tf

    run = model if way == "eager" else tf.function(model, jit_compile=way == "xla")
    difference = compare(run(mix).numpy(), model(mix).numpy(), tolerance=TOLERANCE)
    assert difference.passed, difference
    benchmark.pedantic(lambda: run(mix).numpy(), rounds=3)
