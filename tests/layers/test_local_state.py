"""LocalState with other numbers of heads and decays than Demucs has, by the reference's formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.blocks.local_state import LocalState


def by_formula(layer: LocalState, x: Any) -> Any:
    """A loop over queries and keys. Reference: demucs/demucs.py::LocalState.forward"""

    def linear(conv: Any, x: Any) -> Any:
        (kernel,) = np.asarray(conv.weight)  # of one step
        return x @ kernel + np.asarray(conv.bias)

    heads, count, (batch, steps, channels) = layer.heads, layer.ndecay, x.shape
    width = channels // heads
    names = ("query", "key", "content")
    queries, keys, content = (
        linear(getattr(layer, name), x).reshape(batch, steps, heads, width) for name in names
    )
    decays = linear(layer.query_decay, x).reshape(batch, steps, heads, count)
    result = np.zeros((batch, steps, heads, width))
    for b, s, h in np.ndindex(batch, steps, heads):
        scores = np.zeros(steps)
        for t in range(steps):
            score = keys[b, t, h] @ queries[b, s, h] / np.sqrt(width)
            for n in range(count):
                rate = 1 / (1 + np.exp(-decays[b, s, h, n])) / 2
                score -= rate * (n + 1) * abs(t - s) / np.sqrt(count)
            scores[t] = -100 if t == s else score
        weights = np.exp(scores - scores.max())
        result[b, s, h] = weights @ content[b, :, h] / weights.sum()
    return x + linear(layer.proj, result.reshape(batch, steps, channels))


@pytest.mark.parametrize(("heads", "ndecay"), [(2, 3), (3, 1), (1, 5)])
def test_formula(heads: int, ndecay: int) -> None:
    layer = LocalState(6, heads, ndecay, dtype="float64")
    random = np.random.default_rng(heads)
    for variable in layer.variables:
        variable.assign(random.normal(size=variable.shape))
    x = random.normal(size=(2, 7, 6))
    found = np.asarray(layer(tf.constant(x)))
    np.testing.assert_allclose(found, by_formula(layer, x), rtol=0, atol=1e-12)
