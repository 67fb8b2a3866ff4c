"""Faults of the LSTM and of the frames around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import tensorflow as tf

from demucs_tf.blocks import blstm
from demucs_tf.layers import recurrent
from parity.core.mutate import Faults
from parity.faults.change import without_step

fault = Faults()
_LSTM, _FRAMED = "demucs-lstm", "demucs-lstm-framed-edge"
_RECUR = (recurrent, "_recur")
# The originals, before anything is replaced.
_recur, _layer = recurrent._recur, recurrent.LSTM.layer


def recur_gates(order: tuple[int, ...]) -> Callable[..., Any]:
    def swap(gates: Any) -> Any:
        parts = tf.split(gates, 4, axis=-1)
        return tf.concat([parts[index] for index in order], axis=-1)

    def recur(inputs: list[Any], weights: list[Any], units: int) -> Any:
        return _recur([swap(each) for each in inputs], [swap(each) for each in weights], units)

    return recur


fault("lstm-gates-swapped", _LSTM, " LSTM$", replaces=_RECUR)(recur_gates((1, 0, 2, 3)))
fault("lstm-gates-icfo", _LSTM, " LSTM$", replaces=_RECUR)(recur_gates((0, 2, 1, 3)))


@contextmanager
def traced_anew() -> Iterator[None]:
    """Trace the recurrence anew, as what it calls was compiled with it."""
    anew = tf.function(_recur.python_function, reduce_retracing=True, autograph=False)
    with mock.patch.object(recurrent, "_recur", anew):
        yield


fault("lstm-hard-sigmoid", _LSTM, " LSTM$", replaces=(recurrent, "_gated"), within=traced_anew)(
    lambda x, gate: x * tf.clip_by_value(gate / 6 + 0.5, 0, 1)
)


@fault("lstm-forget-bias-one", _LSTM, " LSTM$", replaces=_RECUR)
def recur_with_forget_bias(inputs: list[Any], weights: list[Any], units: int) -> Any:
    dtype = inputs[0].dtype
    one = tf.concat([tf.fill([units], tf.constant(float(i == 1), dtype)) for i in range(4)], 0)
    return _recur([each + one for each in inputs], weights, units)


@fault("lstm-backward-not-reversed", _LSTM, " LSTM$", replaces=_RECUR)
def recur_one_way(inputs: list[Any], weights: list[Any], units: int) -> Any:
    """Leaves the backward outputs in the order in which they were computed."""
    outputs, h, c = _recur(inputs, weights, units)
    forward, backward = tf.split(outputs, 2, -1)
    return tf.concat([forward, tf.reverse(backward, [0])], -1), h, c


@fault("lstm-double-bias", _LSTM, " LSTM$", replaces=(recurrent.LSTM, "layer"))
def with_double_bias(self: Any, x: Any, n: int) -> Any:
    biases = [getattr(self, f"bias_hh_{suffix}") for suffix in (f"l{n}", f"l{n}_reverse")]
    for bias in biases:
        bias.assign(2 * bias)
    try:
        return _layer(self, x, n)
    finally:
        for bias in biases:
            bias.assign(bias / 2)


fault("blstm-skip-dropped", _LSTM, ":skip BLSTM$", replaces=(blstm.BLSTM, "step"))(
    without_step("skip")
)
fault(
    "blstm-unframed",
    _FRAMED,
    r"3\.layers\.0\.3:frame BLSTM$",
    replaces=(blstm.BLSTM, "_framed"),
)(lambda self, x, width: self._whole(x))


@fault("blstm-overlap-add", _FRAMED, ":unframe BLSTM$", replaces=(blstm, "unframe"))
def unframe_by_overlap_add(frames: Any, length: Any) -> Any:
    width = frames.shape[2]
    left = tf.pad(frames[:, :, : width // 2], [[0, 0], [0, 1], [0, 0], [0, 0]])
    right = tf.pad(frames[:, :, width // 2 :], [[0, 0], [1, 0], [0, 0], [0, 0]])
    row = (left + right) / 2
    return tf.reshape(row, [row.shape[0], -1, row.shape[3]])[:, :length]
