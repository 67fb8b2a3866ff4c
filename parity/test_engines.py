"""Graph mode and XLA give what eager mode gives, tensor by tensor, within the same tolerances."""

from __future__ import annotations

import numpy as np
import pytest

from parity import text
from parity.cases import BY_NAME
from parity.compare import compare
from parity.port import Engine
from parity.run import make_port, run_case, stored_expected
from parity.tolerances import tolerance


@pytest.mark.parametrize("engine", ["graph", "xla"])
@pytest.mark.parametrize("name", ["demucs-lstm-framed", "demucs-attention"])
def test_every_tensor(name: str, engine: Engine) -> None:
    result = run_case(
        BY_NAME[name], "float32", mode="cumulative", engine=engine, probe_parameters=False
    )
    assert result.verdict == "pass", text.details(result)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_unknown_length(jit_compile: bool) -> None:
    """One trace for every length, on both sides of the 200 steps from which frames are cut."""
    import tensorflow as tf

    case = BY_NAME["demucs-lstm-framed-edge"]
    expected = stored_expected(case)
    model = make_port(case, "float32")
    signature = [tf.TensorSpec([None, 2, None], tf.float32)]
    graph = tf.function(model, input_signature=signature, jit_compile=jit_compile)
    limit = tolerance(expected.events[-1], 0, "cumulative", "float32")
    found = np.asarray(graph(tf.constant(expected.mix, tf.float32)))
    difference = compare(found, expected.events[-1].outputs[0], limit, dtype="float32")
    assert difference.passed, difference.reason
    short = expected.mix[..., :45].astype(np.float32)
    eager = np.asarray(model(short)).astype(np.float64)
    assert compare(np.asarray(graph(short)), eager, limit, dtype="float32").passed
    assert graph.experimental_get_tracing_count() == 1
