"""A recurrent weight is multiplied in parts where that is faster, which changes nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.layers import recurrent
from demucs_tf.layers.recurrent import LSTM


@pytest.mark.parametrize(
    ("units", "dtype", "count"),
    [
        (192, "float32", 1),
        (256, "float32", 2),
        (384, "float32", 4),
        (512, "float32", 8),
        (192, "float64", 2),
        (2048, "float32", 1),  # 64 MB: too large to gain
        (517, "float32", 1),  # its columns can't be cut evenly
    ],
)
def test_parts(units: int, dtype: str, count: int) -> None:
    parts = recurrent._parts(tf.zeros([units, 4 * units], dtype))
    assert [tuple(each.shape) for each in parts] == [(units, 4 * units // count)] * count
    sizes = [each.dtype.size * np.prod(each.shape) for each in parts]
    assert count == 1 or max(sizes) < 1 << 20


def test_a_gpu_gets_a_weight_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    assert len(recurrent._parts(tf.zeros([512, 2048]))) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_give_what_the_whole_does(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    inputs = [tf.constant(rng.normal(size=(7, 3, 64)), dtype) for _ in range(2)]
    weights = [tf.constant(rng.normal(size=(16, 64)), dtype) for _ in range(2)]
    # Compiled anew for each size of a part, of which it knows nothing.
    whole = _outputs_and_slopes(inputs, weights)
    monkeypatch.setattr(recurrent, "_PART", 1 << 10)
    parts = _outputs_and_slopes(inputs, weights)
    bound = 1e-12 if dtype == "float64" else 1e-5
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=bound, atol=bound)


def _outputs_and_slopes(inputs: list[Any], weights: list[Any]) -> list[Any]:
    anew = tf.function(recurrent._recur.python_function, autograph=False)
    with pytest.MonkeyPatch.context() as patch, tf.GradientTape() as tape:
        patch.setattr(recurrent, "_recur", anew)
        tape.watch([*inputs, *weights])
        outputs, h, c = recurrent._recur_trainably(inputs, weights, 16)
        total = tf.reduce_sum(tf.square(outputs)) + tf.reduce_sum(h) + tf.reduce_sum(c)
    return [outputs, h, c, *tape.gradient(total, [*inputs, *weights])]


def test_no_step_has_a_gradient_as_large_as_all_steps() -> None:
    layer = LSTM(4, 8, 1)

    @tf.function(autograph=False)
    def slope(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, _, _ = layer(x)
        return tape.gradient(y, x)

    definition = slope.get_concrete_function(tf.zeros([2, 5, 4])).graph.as_graph_def()
    functions = definition.library.function
    loops = [each for each in functions if "while_body" in each.signature.name.lower()]
    assert len(loops) >= 2  # there and back
    assert not [n.op for each in loops for n in each.node_def if n.op == "StridedSliceGrad"]
