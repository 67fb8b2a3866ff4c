"""Known porting faults, one row each: what is broken, the case that has to see it, and where.

Each has been made in some port of Demucs, or is one slip away from this one. A fault replaces an
attribute of the port's code while its case runs; `place` is matched against the first divergence,
"path Class".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from demucs_tf.blocks import dconv
from demucs_tf.layers import activation, attention, conv, norm, recurrent, resample, shape
from demucs_tf.models import demucs


@dataclass(frozen=True)
class Fault:
    """One fault: `owner.attribute` becomes `replacement` while `case` runs."""

    name: str
    case: str
    place: str
    owner: Any
    attribute: str
    replacement: Any


def _with(method: Callable[..., Any], **attributes: Any) -> Callable[..., Any]:
    """`method`, with some attributes of its object set before each call."""

    def changed(self: Any, *arguments: Any) -> Any:
        for name, value in attributes.items():
            object.__setattr__(self, name, value)
        return method(self, *arguments)

    return changed


def _groupnorm(
    variance: Callable[[Any, Any], Any] = lambda v, n: v,
    root: Callable[[Any, float], Any] = lambda v, e: tf.sqrt(v + tf.constant(e, v.dtype)),
) -> Callable[..., Any]:
    def call(self: Any, x: Any) -> Any:
        groups, size = self.num_groups, self.num_channels // self.num_groups
        grouped = tf.reshape(x, [x.shape[0], -1, groups, size])
        centred = grouped - tf.reduce_mean(grouped, [1, 3], keepdims=True)
        spread = tf.reduce_mean(centred**2, [1, 3], keepdims=True)
        grouped = centred / root(variance(spread, grouped.shape[1] * size), self.epsilon)
        return tf.reshape(grouped, x.shape) * self.weight + self.bias

    return call


def _glu_swapped(self: Any, x: Any) -> Any:
    gate, value = tf.split(x, 2, axis=-1)
    return value * tf.sigmoid(gate)


def _gelu_float32_constant(self: Any, x: Any) -> Any:
    return tf.nn.gelu(x, approximate=False)


def _conv_without_bias(self: Any, x: Any) -> Any:
    return _conv_call(self, x) - self.bias


def _conv_undilated(self: Any, x: Any) -> Any:
    if self.dilation == 1:
        return _conv_call(self, x)
    x = tf.pad(x, [[0, 0], [self.kernel_size // 2] * 2, [0, 0]])
    return tf.nn.conv1d(x, tf.convert_to_tensor(self.weight), self.stride, "VALID") + self.bias


def _conv_causal(self: Any, x: Any) -> Any:
    if self.padding:
        x = tf.roll(x, self.padding, axis=1)
    return _conv_call(self, x)


def _transposed_unflipped(self: Any, x: Any) -> Any:
    shape = [x.shape[0], (x.shape[1] - 1) * self.stride + self.kernel_size, self.out_channels]
    weight = tf.reverse(tf.convert_to_tensor(self.weight), [0])
    return tf.nn.conv1d_transpose(x, weight, shape, self.stride, "VALID") + self.bias


def _swap(gates: Any, order: tuple[int, ...]) -> Any:
    parts = tf.split(gates, 4, axis=-1)
    return tf.concat([parts[index] for index in order], axis=-1)


def _recur_gates(order: tuple[int, ...]) -> Callable[..., Any]:
    return lambda inputs, weight, units: _recur(_swap(inputs, order), _swap(weight, order), units)


def _recur_forget_bias(inputs: Any, weight: Any, units: int) -> Any:
    one = tf.concat(
        [tf.fill([units], tf.constant(float(i == 1), inputs.dtype)) for i in range(4)], 0
    )
    return _recur(inputs + one, weight, units)


def _recur_one_way(inputs: Any, weight: Any, units: int) -> Any:
    """Leaves the backward outputs in the order in which they were computed."""
    outputs, h, c = _recur(inputs, weight, units)
    return tf.stack([outputs[:, 0], tf.reverse(outputs[:, 1], [0])], 1), h, c


def _lstm_double_bias(self: Any, x: Any, n: int) -> Any:
    for suffix in (f"l{n}", f"l{n}_reverse"):
        bias = getattr(self, f"bias_hh_{suffix}")
        bias.assign(2 * bias)
    try:
        return _bidirectional(self, x, n)
    finally:
        for suffix in (f"l{n}", f"l{n}_reverse"):
            bias = getattr(self, f"bias_hh_{suffix}")
            bias.assign(bias / 2)


def _blstm_never_framed(self: Any, x: Any, width: int) -> Any:
    return self._whole(x)


def _unframe_overlap_add(frames: Any, length: Any) -> Any:
    width = frames.shape[2]
    left = tf.pad(frames[:, :, : width // 2], [[0, 0], [0, 1], [0, 0], [0, 0]])
    right = tf.pad(frames[:, :, width // 2 :], [[0, 0], [1, 0], [0, 0], [0, 0]])
    row = (left + right) / 2
    return tf.reshape(row, [row.shape[0], -1, row.shape[3]])[:, :length]


def _step_without(name: str) -> Callable[..., Any]:
    """`Observable.step` that returns the first input of the step `name` instead of running it."""

    def step(self: Any, step_name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        if step_name == name:
            return _step(self, name, lambda *tensors: tensors[0], *inputs)
        return _step(self, step_name, function, *inputs)

    return step


def _scores_unscaled(self: Any, keys: Any, queries: Any) -> Any:
    return tf.einsum("bthc,bshc->bhst", keys, queries)


def _penalty(
    own: float = -100.0, square_root: bool = True, half: float = 2.0
) -> Callable[..., Any]:
    def penalise(self: Any, decays: Any, rates: Any, delta: Any, scores: Any) -> Any:
        mixed = tf.einsum("bshn,n->bhs", tf.sigmoid(decays) / half, rates)
        scale = self.ndecay**0.5 if square_root else self.ndecay
        scores = scores - mixed[..., None] * (tf.abs(delta) / tf.constant(scale, scores.dtype))
        if own == 0:
            return scores
        return tf.where(tf.equal(delta, 0), tf.constant(own, scores.dtype), scores)

    return penalise


def _softmax_over_queries(scores: Any) -> Any:
    return tf.nn.softmax(scores, axis=2)


def _attention_softmax(self: Any, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
    wrong = _softmax_over_queries if name == "weights" else function
    return _step(self, name, wrong, *inputs)


def _std_biased(x: Any) -> Any:
    return tf.math.reduce_std(x, -1, keepdims=True)


def _normalize_inside_root(self: Any, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
    if name == "normalize":
        return _step(self, name, lambda x, mean, std: (x - mean) / tf.sqrt(std**2 + 1e-5), *inputs)
    return _step(self, name, function, *inputs)


def _mono_first_channel(self: Any, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
    wrong = (lambda x: x[:, :1]) if name == "mono" else function
    return _step(self, name, wrong, *inputs)


def _split_swapped(self: Any, x: Any) -> Any:
    channels_first = tf.reshape(x, [x.shape[0], self.audio_channels, -1, x.shape[-1]])
    return tf.transpose(channels_first, [0, 2, 1, 3])


def _trim_from_the_right(x: Any, length: Any, axis: int) -> Any:
    delta = shape.size(x, axis) - length
    begin = [0] * len(x.shape)
    begin[axis] = (delta + 1) // 2
    extent = [-1] * len(x.shape)
    extent[axis] = length
    return tf.slice(x, begin, extent)


def _trim_end(x: Any, length: Any, axis: int) -> Any:
    return tf.gather(x, tf.range(length), axis=axis)


def _pad_right(x: Any, left: Any, right: Any, axis: int) -> Any:
    return _pad_axis(x, 0, left + right, axis)


def _resample_linear(x: Any, old_sr: int, new_sr: int) -> Any:
    samples = np.asarray(x)
    count = samples.shape[-1] * new_sr // old_sr
    places = np.arange(count) * (old_sr / new_sr)
    known = np.arange(samples.shape[-1])
    rows = samples.reshape(-1, samples.shape[-1])
    lines = np.stack([np.interp(places, known, row) for row in rows])
    return tf.constant(lines.reshape(*samples.shape[:-1], count), x.dtype)


def _resample_zero_edges(x: Any, old_sr: int, new_sr: int) -> Any:
    edge = 60 if old_sr == 1 else 120
    padded = _pad_axis(x, edge, edge, 2)
    y = _resample_frac(padded, old_sr, new_sr)
    start = edge * new_sr // old_sr
    return y[..., start : start + x.shape[-1] * new_sr // old_sr]


def _kernel_symmetric_window(old_sr: int, new_sr: int) -> Any:
    kernel = _sinc_kernel(old_sr, new_sr)
    return (kernel * np.hanning(kernel.shape[1])).astype(np.float32)


def _kernel_without_last_places(old_sr: int, new_sr: int) -> Any:
    kernel = _sinc_kernel(old_sr, new_sr).copy()
    for flat, units in resample._LAST_PLACES[old_sr, new_sr]:
        kernel.view(np.int32).ravel()[flat] -= units
    return kernel


# The originals, taken before anything is replaced.
_conv_call = conv.Conv1d.call
_recur = recurrent._recur
_bidirectional = recurrent.LSTM._bidirectional
_step = recurrent.BLSTM.step
_pad_axis = shape.pad_axis
_resample_frac = resample.resample_frac
_sinc_kernel = resample.sinc_kernel

# Small cases, each with what its faults need.
_PLAIN, _BRANCHES = "demucs-dconv0", "demucs-no-dilation"
_DILATED, _NORMS = "demucs-deep-branches", "demucs-norm"
_LSTM, _FRAMED, _ATTENTION = "demucs-lstm", "demucs-lstm-framed-edge", "demucs-attention"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "groupnorm-keras-epsilon",
        _BRANCHES,
        " GroupNorm$",
        norm.GroupNorm,
        "call",
        _with(norm.GroupNorm.call, epsilon=1e-3),
    ),
    Fault(
        "groupnorm-epsilon-outside-root",
        _BRANCHES,
        " GroupNorm$",
        norm.GroupNorm,
        "call",
        _groupnorm(root=lambda v, e: tf.sqrt(v) + e),
    ),
    Fault(
        "groupnorm-unbiased-variance",
        _BRANCHES,
        " GroupNorm$",
        norm.GroupNorm,
        "call",
        _groupnorm(variance=lambda v, n: v * n / (n - 1)),
    ),
    Fault(
        "groupnorm-one-group",
        _NORMS,
        r"encoder\.0\.1 GroupNorm$",
        norm.GroupNorm,
        "call",
        _with(norm.GroupNorm.call, num_groups=1),
    ),
    Fault(
        "gelu-tanh",
        _PLAIN,
        r"encoder\.0\.2 GELU$",
        activation.GELU,
        "call",
        _with(activation.GELU.call, approximate=True),
    ),
    Fault(
        "gelu-float32-constant",
        _PLAIN,
        r"encoder\.0\.2 GELU$",
        activation.GELU,
        "call",
        _gelu_float32_constant,
    ),
    Fault("glu-halves-swapped", _PLAIN, " GLU$", activation.GLU, "call", _glu_swapped),
    Fault("conv-bias-dropped", _PLAIN, " Conv1d$", conv.Conv1d, "call", _conv_without_bias),
    Fault(
        "conv-causal-padding", _PLAIN, r"decoder\.0\.0 Conv1d$", conv.Conv1d, "call", _conv_causal
    ),
    Fault(
        "conv-dilation-ignored",
        _DILATED,
        r"layers\.1\.0 Conv1d$",
        conv.Conv1d,
        "call",
        _conv_undilated,
    ),
    Fault(
        "transposed-kernel-unflipped",
        _PLAIN,
        " ConvTranspose1d$",
        conv.ConvTranspose1d,
        "call",
        _transposed_unflipped,
    ),
    Fault(
        "layerscale-dropped",
        _BRANCHES,
        " LayerScale$",
        norm.LayerScale,
        "call",
        lambda self, x: x,
    ),
    Fault(
        "branch-residual-dropped",
        _BRANCHES,
        r"encoder\.0\.3:skip DConv$",
        dconv.DConv,
        "step",
        _step_without("skip"),
    ),
    Fault("lstm-gates-swapped", _LSTM, " LSTM$", recurrent, "_recur", _recur_gates((1, 0, 2, 3))),
    Fault("lstm-gates-icfo", _LSTM, " LSTM$", recurrent, "_recur", _recur_gates((0, 2, 1, 3))),
    Fault(
        "lstm-hard-sigmoid",
        _LSTM,
        " LSTM$",
        recurrent,
        "_sigmoid",
        lambda x: tf.clip_by_value(x / 6 + 0.5, 0, 1),
    ),
    Fault("lstm-forget-bias-one", _LSTM, " LSTM$", recurrent, "_recur", _recur_forget_bias),
    Fault("lstm-backward-not-reversed", _LSTM, " LSTM$", recurrent, "_recur", _recur_one_way),
    Fault(
        "lstm-double-bias",
        _LSTM,
        " LSTM$",
        recurrent.LSTM,
        "_bidirectional",
        _lstm_double_bias,
    ),
    Fault(
        "blstm-skip-dropped",
        _LSTM,
        ":skip BLSTM$",
        recurrent.BLSTM,
        "step",
        _step_without("skip"),
    ),
    Fault(
        "blstm-unframed",
        _FRAMED,
        r"3\.layers\.0\.3:frame BLSTM$",
        recurrent.BLSTM,
        "_framed",
        _blstm_never_framed,
    ),
    Fault(
        "blstm-overlap-add",
        _FRAMED,
        ":unframe BLSTM$",
        recurrent,
        "unframe",
        _unframe_overlap_add,
    ),
    Fault(
        "attention-unscaled",
        _ATTENTION,
        ":scores LocalState$",
        attention.LocalState,
        "_scores",
        _scores_unscaled,
    ),
    Fault(
        "attention-softmax-over-queries",
        _ATTENTION,
        ":weights LocalState$",
        attention.LocalState,
        "step",
        _attention_softmax,
    ),
    Fault(
        "attention-own-key-not-masked",
        _ATTENTION,
        ":penalty LocalState$",
        attention.LocalState,
        "_penalise",
        _penalty(own=0),
    ),
    Fault(
        "attention-own-key-masked-with-infinity",
        _ATTENTION,
        ":penalty LocalState$",
        attention.LocalState,
        "_penalise",
        _penalty(own=-1e9),
    ),
    Fault(
        "attention-decay-without-root",
        _ATTENTION,
        ":penalty LocalState$",
        attention.LocalState,
        "_penalise",
        _penalty(square_root=False),
    ),
    Fault(
        "attention-decay-not-halved",
        _ATTENTION,
        ":penalty LocalState$",
        attention.LocalState,
        "_penalise",
        _penalty(half=1.0),
    ),
    Fault(
        "attention-residual-dropped",
        _ATTENTION,
        ":skip LocalState$",
        attention.LocalState,
        "step",
        _step_without("skip"),
    ),
    Fault("std-biased", _PLAIN, "^:std Demucs$", demucs, "_unbiased_std", _std_biased),
    Fault(
        "normalize-epsilon-inside-root",
        _PLAIN,
        "^:normalize Demucs$",
        demucs.DemucsTF,
        "step",
        _normalize_inside_root,
    ),
    Fault(
        "denormalize-left-out",
        _PLAIN,
        "^:denormalize Demucs$",
        demucs.DemucsTF,
        "step",
        _step_without("denormalize"),
    ),
    Fault(
        "mono-first-channel",
        _PLAIN,
        "^:mono Demucs$",
        demucs.DemucsTF,
        "step",
        _mono_first_channel,
    ),
    Fault("pad-on-the-right", _PLAIN, "^:pad Demucs$", demucs, "pad_axis", _pad_right),
    Fault(
        "trim-off-by-one",
        _PLAIN,
        "^:trim Demucs$",
        demucs,
        "center_trim",
        _trim_from_the_right,
    ),
    Fault("trim-at-the-end", _PLAIN, "^:trim Demucs$", demucs, "center_trim", _trim_end),
    Fault(
        "skip-dropped",
        _PLAIN,
        "^:skip Demucs$",
        demucs.DemucsTF,
        "step",
        _step_without("skip"),
    ),
    Fault(
        "resample-linear",
        _PLAIN,
        "^:upsample Demucs$",
        demucs,
        "resample_frac",
        _resample_linear,
    ),
    Fault(
        "resample-zero-edges",
        "demucs-no-glu",
        "^:upsample Demucs$",
        demucs,
        "resample_frac",
        _resample_zero_edges,
    ),
    Fault(
        "resample-other-window",
        _PLAIN,
        "^:upsample Demucs$",
        resample,
        "sinc_kernel",
        _kernel_symmetric_window,
    ),
    Fault(
        "resample-kernel-last-places",
        _PLAIN,
        "^:upsample Demucs$",
        resample,
        "sinc_kernel",
        _kernel_without_last_places,
    ),
    Fault(
        "sources-and-channels-swapped",
        _PLAIN,
        "^:split Demucs$",
        demucs.DemucsTF,
        "_split",
        _split_swapped,
    ),
)
