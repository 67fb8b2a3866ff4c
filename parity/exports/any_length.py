"""One trace for every length: a graph whose shapes are not known when it is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.cases import BY_NAME
from parity.core.compare import compare
from parity.core.seeding import seeded_random
from parity.core.tolerances import tolerance
from parity.demucs import SUBJECT
from parity.run import make_port, stored_expected

# On both sides of the 200 steps from which the LSTM cuts frames, of the 300 of the Wiener filter,
# and of the queries that attend at a time.
CASES = (
    "demucs-lstm-framed-edge", "hdemucs-old", "hdemucs-spectrogram", "hdemucs-wiener-windows",
    "hdemucs-dft", "htdemucs-shorter", "htdemucs-longer", "htdemucs-tokens",
)  # fmt: skip


def problems(name: str, jit_compile: bool) -> list[str]:
    """What is wrong with one trace of a case's model for every length and batch.

    Its layers are joined, as in the graphs that tracks are separated with.
    """
    import tensorflow as tf

    from demucs_tf.layers.base import joined

    def run(function: Any, mix: Any) -> Any:
        with seeded_random():  # a transformer draws its shift while it is traced
            return np.asarray(function(mix))

    case = BY_NAME[name]
    expected = stored_expected(case)
    model = make_port(case, "float32")
    signature = [tf.TensorSpec([None, model.audio_channels, None], tf.float32)]
    graph = tf.function(model, input_signature=signature, jit_compile=jit_compile)
    with joined(), seeded_random():  # as the graphs that tracks are separated with
        graph.get_concrete_function()
    limit = tolerance(SUBJECT, expected.root, 0, "cumulative", "float32")
    mix = expected.mix.astype(np.float32)
    shorter = mix[..., : mix.shape[-1] * 2 // 3]
    pairs = (
        (run(graph, mix), expected.root.outputs[0], limit),
        # Two float32 passes, each as far from the truth as it may be.
        (run(graph, shorter), run(model, shorter).astype(np.float64), 2 * limit),
    )
    reasons = [
        compare(found, wanted, bound, dtype="float32").reason for found, wanted, bound in pairs
    ]
    traces = graph.experimental_get_tracing_count()
    return [*filter(None, reasons), *([f"traced {traces} times"] if traces != 1 else [])]
