"""The bidirectional LSTM."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import BTC, Layer, is_portable, uniform
from demucs_tf.layers.linear import product
from demucs_tf.layers.shape import size


class LSTM(Layer):
    """Stacked bidirectional LSTM. Both biases of torch are kept, so that weights go both ways.

    Variables, for layer n and with the suffix `_reverse` for the backward direction:
    weight_ih_l{n} (C, 4 D), weight_hh_l{n} (D, 4 D), bias_ih_l{n} (4 D), bias_hh_l{n} (4 D);
    gates in the order input, forget, cell, output.
    Shape: (B, T, C) -> (B, T, 2 D), (2 num_layers, B, D), (2 num_layers, B, D): the outputs,
    forward direction first, and the last hidden and cell states of each layer and direction.

    Reference: torch.nn.LSTM(bidirectional=True)
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        for n in range(num_layers):
            columns = input_size if n == 0 else 2 * hidden_size
            for suffix in (f"l{n}", f"l{n}_reverse"):
                for kind, shape in (
                    ("weight_ih", (columns, 4 * hidden_size)),
                    ("weight_hh", (hidden_size, 4 * hidden_size)),
                    ("bias_ih", (4 * hidden_size,)),
                    ("bias_hh", (4 * hidden_size,)),
                ):
                    name = f"{kind}_{suffix}"
                    setattr(self, name, self.variable(name, shape, uniform(hidden_size)))

    def call(self, x: BTC) -> tuple[BTC, Any, Any]:
        hidden, cell = [], []
        for n in range(self.num_layers):
            x, h, c = self._bidirectional(x, n)
            hidden.append(h)
            cell.append(c)
        return x, tf.concat(hidden, 0), tf.concat(cell, 0)

    def _bidirectional(self, x: Any, n: int) -> tuple[Any, Any, Any]:
        """Run layer `n`. Both directions advance in one loop, as a batch of two products."""
        suffixes = (f"l{n}", f"l{n}_reverse")
        inputs = tf.stack(
            [
                product(direction, getattr(self, f"weight_ih_{suffix}"))
                + (getattr(self, f"bias_ih_{suffix}") + getattr(self, f"bias_hh_{suffix}"))
                for suffix, direction in zip(suffixes, (x, tf.reverse(x, [1])), strict=True)
            ]
        )  # (2, B, T, 4 D)
        weight = tf.stack([tf.convert_to_tensor(getattr(self, f"weight_hh_{s}")) for s in suffixes])
        recur = _recur.python_function if is_portable() else _recur
        outputs, h, c = recur(tf.transpose(inputs, [2, 0, 1, 3]), weight, self.hidden_size)
        forward, backward = outputs[:, 0], tf.reverse(outputs[:, 1], [0])
        y = tf.transpose(tf.concat([forward, backward], -1), [1, 0, 2])  # (B, T, 2 D)
        return y, h, c


# Compiled, because an eager loop takes ten times as long.
@tf.function(reduce_retracing=True, autograph=False)
def _recur(inputs: Any, weight: Any, units: int) -> tuple[Any, Any, Any]:
    """Run the recurrence: inputs (T, 2, B, 4 D), weight (2, D, 4 D), units D.

    Returns the outputs (T, 2, B, D) and the last hidden and cell states (2, B, D).
    """
    steps, batch = size(inputs, 0), inputs.shape[2]
    zeros = tf.zeros(tf.stack([2, size(inputs, 2), units]), inputs.dtype)
    rows = tf.TensorArray(inputs.dtype, size=steps, element_shape=[2, batch, units])

    def step(t: Any, h: Any, c: Any, rows: Any) -> tuple[Any, Any, Any, Any]:
        gates = inputs[t] + tf.matmul(h, weight)
        i, f, g, o = (gates[..., k * units : (k + 1) * units] for k in range(4))
        c = tf.ensure_shape(_sigmoid(f) * c + _sigmoid(i) * tf.tanh(g), [2, batch, units])
        h = tf.ensure_shape(_sigmoid(o) * tf.tanh(c), [2, batch, units])
        return t + 1, h, c, rows.write(t, h)

    state = (tf.constant(0), zeros, zeros, rows)
    shapes = (
        tf.TensorShape([]),
        tf.TensorShape([2, batch, units]),
        tf.TensorShape([2, batch, units]),
        tf.TensorShape(None),
    )
    _, h, c, rows = tf.while_loop(
        lambda t, *_: t < steps, step, state, shape_invariants=shapes, maximum_iterations=steps
    )
    return rows.stack(), h, c


def _sigmoid(x: Any) -> Any:
    """Sigmoid, as fast as TensorFlow's and closer to the truth in float32: a loop adds errors up.

    Below -80 it is zero for float32; the bound keeps its gradient from becoming infinity by zero.
    """
    return 1 / (1 + tf.exp(-tf.maximum(x, tf.constant(-80, x.dtype))))
