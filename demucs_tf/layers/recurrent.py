"""The bidirectional LSTM."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import BTC, Layer, has_arrays, is_portable, uniform
from demucs_tf.layers.linear import add_bias, product
from demucs_tf.layers.shape import ceil_div, pad_axis, reshape, size


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
        # The recurrence itself takes one step after the other, where little is gained.
        self.factors = tuple(
            f"weight_ih_{suffix}" for n in range(num_layers) for suffix in _suffixes(n)
        )
        for n in range(num_layers):
            columns = input_size if n == 0 else 2 * hidden_size
            for suffix in _suffixes(n):
                for kind, shape in (
                    ("weight_ih", (columns, 4 * hidden_size)),
                    ("weight_hh", (hidden_size, 4 * hidden_size)),
                    ("bias_ih", (4 * hidden_size,)),
                    ("bias_hh", (4 * hidden_size,)),
                ):
                    name = f"{kind}_{suffix}"
                    setattr(self, name, self.variable(name, shape, uniform(hidden_size)))

    def call(self, x: BTC) -> tuple[BTC, Any, Any]:
        x = tf.transpose(x, [1, 0, 2])
        hidden, cell = [], []
        for n in range(self.num_layers):
            x, h, c = self.layer(x, n)
            hidden.append(h)
            cell.append(c)
        return tf.transpose(x, [1, 0, 2]), tf.concat(hidden, 0), tf.concat(cell, 0)

    # The rest is for this, and for who frames time and needs some of it only. Time comes first.

    def layer(self, x: Any, n: int) -> tuple[Any, Any, Any]:
        """Run layer `n`: (T, B, C) -> (T, B, 2 D), (2, B, D), (2, B, D)."""
        inputs = [self.gates(x, n, reverse) for reverse in (False, True)]
        if not is_portable():
            return self.recur(inputs, n)
        weights = self._recurrent_weights(n)
        if has_arrays() or None not in x.shape[:2]:
            return _recur_portably(inputs, weights)
        return _recur_growing(inputs, weights)

    def gates(self, x: Any, n: int, reverse: bool) -> Any:
        """What one direction of layer `n` makes of its input: (T, B, C) -> (T, B, 4 D)."""
        suffix = _suffixes(n)[reverse]
        bias = getattr(self, f"bias_ih_{suffix}") + getattr(self, f"bias_hh_{suffix}")
        return add_bias(product(x, getattr(self, f"weight_ih_{suffix}")), bias)

    def recur(self, inputs: list[Any], n: int) -> tuple[Any, Any, Any]:
        """Run layer `n` on the gates of both directions, which may belong to different steps."""
        return _recur_trainably(inputs, self._recurrent_weights(n), self.hidden_size)

    def go_on_backwards(self, inputs: Any, n: int, h: Any, c: Any) -> Any:
        """Run the backward direction alone, from states (B, D): (T, B, 4 D) -> (T, B, D)."""
        _, weight = self._recurrent_weights(n)
        turned = [tf.reverse(inputs, [0])]
        y, _, _ = _recur_trainably(turned, [weight], self.hidden_size, h, c)
        return tf.reverse(y, [0])

    def _recurrent_weights(self, n: int) -> list[Any]:
        weights = [getattr(self, f"weight_hh_{suffix}") for suffix in _suffixes(n)]
        return [tf.convert_to_tensor(weight) for weight in weights]


def _suffixes(n: int) -> tuple[str, str]:
    """How the names of variables of layer `n` end, forward and backward."""
    return f"l{n}", f"l{n}_reverse"


def _recur_trainably(
    inputs: list[Any], weights: list[Any], units: int, *start: Any
) -> tuple[Any, Any, Any]:
    """As `_recur`, with the gradient of the weights, which a loop would add up step by step."""

    @tf.custom_gradient
    def linked(*tensors: Any) -> tuple[list[Any], Any]:
        """Return the inputs; what arrives at them is the slope of each step's product as well."""

        def gradient(*slopes: Any) -> list[Any]:
            ahead, *behind = tf.split(outputs, len(inputs), -1)
            first = start[0] if start else tf.zeros_like(ahead[0])
            before = [tf.concat([first[None], ahead[:-1]], 0)]
            before += [pad_axis(each[1:], 0, 1, axis=0) for each in behind]
            pairs = zip(before, slopes, strict=True)
            return [*slopes, *[_over_rows(*pair) for pair in pairs]]

        return list(tensors[: len(inputs)]), gradient

    outputs, h, c = _recur(linked(*inputs, *weights), weights, units, *start)
    return outputs, h, c


def _over_rows(x: Any, slope: Any) -> Any:
    """The gradient of a matrix: (T, B, D), (T, B, 4 D) -> (D, 4 D)."""
    x, slope = (reshape(each, [-1, each.shape[-1]]) for each in (x, slope))
    return tf.matmul(x, slope, transpose_a=True)


# TensorFlow works a product out in one thread of a processor if it fits into a core's second cache,
# 1 MB or more. A larger one is shared by all threads, who wait for each other about as long as the
# product of one step takes. What is larger by far comes from memory, and gains nothing.
_PART = 3 << 18  # bytes of a weight
_PARTS = 32


def _parts(weight: Any) -> list[Any]:
    """Cut the columns of a recurrent weight into parts that are multiplied side by side."""
    least = ceil_div(weight.dtype.size * math.prod(weight.shape), _PART)
    count = 1 << (least - 1).bit_length()  # a power of two
    whole = weight.shape[1] % count or count > _PARTS or tf.config.list_logical_devices("GPU")
    return [weight] if whole else tf.split(weight, count, 1)


# Compiled, because an eager loop takes ten times as long. Both directions advance in one loop, each
# by products of its own: a batch of two products takes twice as long.
@tf.function(reduce_retracing=True, autograph=False)
def _recur(inputs: list[Any], weights: list[Any], units: int, *start: Any) -> tuple[Any, Any, Any]:
    """Run the recurrence of both directions: inputs (T, B, 4 D) each, weights (D, 4 D) each.

    One that starts from a hidden and a cell state, (B, D) each, goes forward, and is alone.
    Returns the outputs (T, B, 2 D) and the last hidden and cell states (2, B, D).
    """
    either, *_ = inputs  # both directions are alike
    steps = tf.shape(either)[0]
    row, wide = (tf.TensorShape([None, width]) for width in (units, 4 * units))
    if not start:
        start = (tf.zeros(tf.stack([tf.shape(either)[1], units]), either.dtype),) * 2
    # Without their gradient: see `_recur_trainably`. One tensor, as each turn hands on what it has.
    parts = [tf.stack(_parts(tf.stop_gradient(weight))) for weight in weights]

    def array(shape: Any) -> Any:
        return tf.TensorArray(either.dtype, steps, element_shape=shape)

    # Of a slice, the gradient of each step would be as large as all steps are.
    given = [array(wide).unstack(each) for each in inputs]

    def advance(state: Any, t: Any, direction: int) -> tuple[Any, Any, Any]:
        h, c, rows = state
        products = tf.concat([tf.matmul(h, part) for part in tf.unstack(parts[direction])], -1)
        gates = given[direction].read(t) + products
        i, f, g, o = tf.split(gates, 4, axis=-1)
        c = _gated(c, f) + _gated(tf.tanh(g), i)
        h = _gated(tf.tanh(c), o)
        for each in (h, c):
            each.set_shape(row)
        return h, c, rows.write(t, h)

    def step(t: Any, *states: Any) -> Any:
        places = t, steps - 1 - t
        return t + 1, *[advance(state, places[k], k) for k, state in enumerate(states)]

    state: Any = (tf.constant(0), *((*start, array(row)) for _ in inputs))
    shapes: Any = (tf.TensorShape([]), *[(row, row, tf.TensorShape(None))] * len(inputs))
    _, *states = tf.while_loop(
        lambda t, *_: t < steps, step, state, shape_invariants=shapes, maximum_iterations=steps
    )
    h, c, written = zip(*states, strict=True)
    return tf.concat([each.stack() for each in written], -1), tf.stack(h), tf.stack(c)


# Steps in one turn of the loop below. LiteRT copies all rows of a loop each time it writes one, and
# packs the weights for each step that a turn has.
_STEPS = 4


def _recur_portably(inputs: list[Any], weights: list[Any]) -> tuple[Any, Any, Any]:
    """Run the recurrence of both directions: inputs (T, B, 4 D) each, weights (D, 4 D) each.

    Returns the outputs (T, B, 2 D) and the last hidden and cell states (2, B, D).
    """
    (either, _), (weight, _) = inputs, weights  # both directions are alike
    steps, batch, units = size(either, 0), size(either, 1), weight.shape[0]
    block = min(steps, _STEPS) if isinstance(steps, int) else 1
    turns = steps // block
    rest = steps - turns * block if isinstance(steps, int) else 0
    zeros = tf.zeros([batch, units], either.dtype)

    def some(state: Any, count: int, start: Any, direction: int) -> tuple[Any, Any]:
        """Run `count` steps from `start` on, backwards if `direction` is 1: (B, count D)."""
        h, c = state
        gates = tf.slice(inputs[direction], [start, 0, 0], [count, batch, 4 * units])
        rows = []
        for k in range(count)[:: -1 if direction else 1]:
            h, c = _advance(h, c, gates[k], weights[direction])
            rows.append(h)
        return (h, c), tf.concat(rows[:: -1 if direction else 1], 1)

    def turn(t: Any, before: Any, after: Any, rows: Any) -> Any:
        before, first = some(before, block, t * block, 0)
        after, last = some(after, block, steps - (t + 1) * block, 1)
        # In the order of the turns: ONNX has no other.
        return t + 1, before, after, rows.write(t, tf.concat([first, last], 1))

    rows = _rows(turns, [either.shape[1], 2 * block * units], zeros.dtype)
    state: Any = (tf.constant(0), (zeros, zeros), (zeros, zeros), rows)
    _, before, after, rows = tf.while_loop(
        lambda t, *_: t < turns, turn, state, maximum_iterations=turns
    )

    def joined(rows: Any, count: Any) -> Any:
        """(N, B, K D) -> (N K, B, D)"""
        rows = reshape(rows, [-1, batch, count, units])
        return reshape(tf.transpose(rows, [0, 2, 1, 3]), [-1, batch, units])

    both = reshape(rows.stack(), [-1, batch, 2 * block * units])
    ahead = joined(both[..., : block * units], block)
    behind = joined(both[::-1, :, block * units :], block)
    if rest:
        before, first = some(before, rest, turns * block, 0)
        after, last = some(after, rest, 0, 1)
        ahead = tf.concat([ahead, joined(first[None], rest)], 0)
        behind = tf.concat([joined(last[None], rest), behind], 0)
    h, c = (tf.stack(pair) for pair in zip(before, after, strict=True))
    return tf.concat([ahead, behind], -1), h, c


def _advance(h: Any, c: Any, gates: Any, weight: Any) -> tuple[Any, Any]:
    """Take one step of one direction: (B, D), (B, D), (B, 4 D), (D, 4 D) -> (B, D), (B, D)."""
    units = weight.shape[0]
    gates = gates + tf.matmul(h, weight)
    i, f, g, o = (gates[:, k * units : (k + 1) * units] for k in range(4))
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(c), c


def _recur_growing(inputs: list[Any], weights: list[Any]) -> tuple[Any, Any, Any]:
    """As `_recur_portably`, where neither the steps nor the batch may be known.

    Each turn appends its rows to a tensor: LiteRT's lists have rows of a known shape.
    """
    (either, _), (weight, _) = inputs, weights
    steps, units, batch = tf.shape(either)[0], weight.shape[0], either.shape[1]
    row = [1, size(either, 1), 4 * units]

    def advance(state: Any, t: Any, direction: int) -> Any:
        h, c = state
        gates = reshape(tf.slice(inputs[direction], [t, 0, 0], row), [batch or -1, 4 * units])
        return _advance(h, c, gates, weights[direction])

    def both(t: Any, before: Any, after: Any) -> Any:
        return advance(before, t, 0), advance(after, steps - 1 - t, 1)

    def turn(t: Any, before: Any, after: Any, ahead: Any, behind: Any) -> Any:
        before, after = both(t, before, after)
        ahead = tf.concat([ahead, before[0][None]], 0)
        behind = tf.concat([after[0][None], behind], 0)
        return t + 1, before, after, ahead, behind

    zeros = tf.zeros([row[1], units], either.dtype)
    # The first step is no turn: LiteRT has no tensors without rows.
    before, after = both(tf.constant(0), (zeros, zeros), (zeros, zeros))
    state: Any = (tf.constant(1), before, after, before[0][None], after[0][None])
    pair = (tf.TensorShape([batch, units]),) * 2
    grows = tf.TensorShape([None, batch, units])
    _, before, after, ahead, behind = tf.while_loop(
        lambda t, *_: t < steps,
        turn,
        state,
        shape_invariants=(tf.TensorShape([]), pair, pair, grows, grows),
    )
    h, c = (tf.stack(pair) for pair in zip(before, after, strict=True))
    return tf.concat([ahead, behind], -1), h, c


def _rows(count: Any, shape: list[int | None], dtype: Any) -> Any:
    """Make an array of `count` rows to be written."""
    rows = tf.TensorArray(dtype, count, element_shape=shape)
    known = [each for each in (count, *shape) if isinstance(each, int)]
    if len(known) <= len(shape):
        return rows
    # LiteRT's converter would start from a table of zeros in the file; products it leaves alone.
    zeros = tf.matmul(tf.zeros([1, count, 1], dtype), tf.zeros([1, 1, math.prod(known[1:])], dtype))
    return rows.unstack(reshape(zeros, [count, *shape]))


def _gated(x: Any, gate: Any) -> Any:
    """`x` times the sigmoid of `gate`, rounded less often: a loop adds errors up.

    Below -80 the sigmoid is zero for float32; the bound keeps its gradient from becoming infinity
    by zero.
    """
    return x / (1 + tf.exp(-tf.maximum(gate, tf.constant(-80, gate.dtype))))
