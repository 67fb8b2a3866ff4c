"""One trace for every length: graphs whose shapes are not known when they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from parity.cases import BY_NAME
from parity.core.compare import compare
from parity.core.seeding import seeded_random
from parity.core.tolerances import tolerance
from parity.demucs import SUBJECT
from parity.run import make_port, stored_expected

# On both sides of the 200 steps from which the LSTM cuts frames, of the 300 of the Wiener filter,
# and of the queries that attend at a time; each kind of positions that a transformer adds.
CASES = (
    "demucs-lstm-framed-edge", "hdemucs-old", "hdemucs-spectrogram", "hdemucs-wiener-windows",
    "hdemucs-wiener-loud", "hdemucs-dft", "htdemucs-shorter", "htdemucs-longer", "htdemucs-tokens",
    "htdemucs-cape",
)  # fmt: skip

# What tracks are separated with, without and with XLA; what becomes an ONNX file, and the second
# graph of a LiteRT file, whose loops append to a tensor.
Way = Literal["graph", "xla", "portable", "growing"]
WAYS: tuple[Way, ...] = get_args(Way)


def problems(name: str, way: Way) -> list[str]:
    """What is wrong with one trace of a case's model for every length and batch."""
    case = BY_NAME[name]
    expected = stored_expected(case)
    model = make_port(case, "float32")
    run = _exported(model, way) if way in ("portable", "growing") else _traced(model, way == "xla")
    limit = tolerance(SUBJECT, expected.root, 0, "cumulative", "float32")
    mix = expected.mix.astype(np.float32)
    shorter = mix[..., : mix.shape[-1] * 2 // 3]
    with seeded_random():  # a transformer draws a shift for each pass
        alone = np.asarray(model(shorter))
    pairs = (
        (run(mix), expected.root.outputs[0], limit),
        # Two float32 passes, each as far from the truth as it may be.
        (run(shorter), alone.astype(np.float64), 2 * limit),
    )
    found = (compare(stems, wanted, bound, dtype="float32") for stems, wanted, bound in pairs)
    return [each.reason for each in found if each.reason]


def _traced(model: Any, jit: bool) -> Callable[[Any], Any]:
    from demucs_tf.inference.graphs.trace import traced

    graph = traced(model, jit).get_concrete_function()
    weights = [variable.value for variable in model.variables]

    def run(mix: Any) -> Any:
        inputs = [mix]
        if hasattr(model, "draw_shift"):
            with seeded_random():
                inputs.append(np.full(len(mix), model.draw_shift(), np.int32))
        return np.asarray(graph(weights, *inputs))

    return run


def _exported(model: Any, way: Way) -> Callable[[Any], Any]:
    import tensorflow as tf

    from demucs_tf.export.graph import trace
    from demucs_tf.export.lengths import Lengths

    arrays = way == "portable"
    any_length = trace(model, Lengths(0, 0), batch=None, time=None, arrays=arrays, in_one=arrays)
    return lambda mix: np.asarray(any_length.function(tf.constant(mix))[0])
