"""What the comparison has to find, and where: slips that a port of EnCodec is close to."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from examples.parity_encodec import port
from examples.parity_encodec.cases import BY_NAME, SUITE
from parity.core.mutate import Faults
from parity.core.result import Result

fault = Faults()
_conv, _lstm, _lstm_cell = port.Conv.call, port.LSTM.call, port.lstm_cell
_CONV, _LSTM = (port.Conv, "call"), (port.LSTM, "call")
_PAD, _WIDTHS = (port.Pad, "call"), (port.Pad, "widths")
_IN_PAD, _IN_CONV = ":pad EncodecConv1d$", r"\.conv Conv1d$"


def run(case: str) -> Result:
    """Compare a case as faults are looked for: isolated, and in float64, which hides none."""
    return SUITE.run_case(BY_NAME[case], "float64", "isolated", live=True)


# Padding


def pad(self: Any, x: Any, mode: str) -> Any:
    return ops.pad(x, ((0, 0), self.widths(x.shape[1]), (0, 0)), mode)


@fault("pad-repeats-the-edge", "causal", _IN_PAD, replaces=_PAD)
def pad_symmetric(self: Any, x: Any) -> Any:
    return pad(self, x, "symmetric")


@fault("pad-zeros-if-short", "short", _IN_PAD, replaces=_PAD)
def pad_zeros_if_short(self: Any, x: Any) -> Any:
    return pad(self, x, "reflect" if x.shape[1] > self.total else "constant")


@fault("pad-hears-the-future", "causal", _IN_PAD, replaces=_WIDTHS)
def pad_right(self: Any, length: int) -> tuple[int, int]:
    return 0, self.total + -length % self.stride


@fault("pad-larger-half-on-the-right", "odd", _IN_PAD, replaces=_WIDTHS)
def pad_swapped(self: Any, length: int) -> tuple[int, int]:
    return self.total // 2, self.total - self.total // 2 + -length % self.stride


@fault("pad-drops-the-last-frame", "odd", _IN_PAD, replaces=_WIDTHS)
def pad_without_extra(self: Any, length: int) -> tuple[int, int]:
    return self.total - self.total // 2, self.total // 2


@fault("trim-larger-half-on-the-right", "odd", ":trim ", replaces=(layers.Cropping1D, "call"))
def trim_swapped(self: Any, x: Any) -> Any:
    left, right = self.cropping
    return x[:, right : x.shape[1] - left]


# Convolutions and norms


@fault("weight-norm-by-input", "odd", _IN_CONV, replaces=(port, "weight_norm"))
def normed_by_input(direction: Any, gain: Any) -> Any:
    return direction * (gain / ops.sqrt(ops.sum(ops.square(direction), (0, 2), keepdims=True)))


@fault("weight-norm-epsilon", "odd", _IN_CONV, replaces=(port, "weight_norm"))
def normed_with_epsilon(direction: Any, gain: Any) -> Any:
    return direction * gain * ops.rsqrt(ops.sum(direction**2, (0, 1), keepdims=True) + 1e-8)


@fault("kernel-reversed", "stereo", r"\.conv ConvTranspose1d$", replaces=_CONV)
def conv_reversed(self: Any, x: Any) -> Any:
    if not self.transposed:
        return _conv(self, x)
    return ops.conv_transpose(x, self.kernel[::-1], self.stride, "valid") + self.bias


fault("group-norm-of-keras", "stereo", r"\.norm GroupNorm$", replaces=(port, "EPSILON"))(1e-3)


# LSTM and residuals


@fault("lstm-gates-swapped", "short", r"\.lstm LSTM$", replaces=(port, "lstm_cell"))
def cell_with_gates_swapped(gates: Any, c: Any) -> Any:
    i, f, g, o = ops.split(gates, 4, axis=-1)
    return _lstm_cell(ops.concatenate((i, f, o, g), axis=-1), c)


@fault("lstm-state-swapped", "short", r"\.lstm LSTM$", replaces=_LSTM)
def lstm_with_state_swapped(self: Any, x: Any) -> Any:
    y, h, c = _lstm(self, x)
    return y, c, h


@fault("dilation-by-steps", "deep", r"layers\.3\.block\.1:pad ", replaces=(port, "residuals"))
def residuals_by_steps(config: Any, channels: int) -> list[Any]:
    blocks = range(1, config.num_residual_layers + 1)
    return [port.EncodecResnetBlock(config, channels, dilation) for dilation in blocks]


@fault("skip-dropped", "short", ":skip EncodecResnetBlock$", replaces=(layers.Add, "call"))
def without_skip(self: Any, tensors: Any) -> Any:
    return tensors[1]
