"""Faults of the backward pass alone: every output stays as it is, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import tensorflow as tf

from demucs_tf.blocks import dconv, local_state, spectrogram
from demucs_tf.blocks.layer_scale import LayerScale
from demucs_tf.layers import activation, attention, conv, linear, norm, recurrent, shape
from demucs_tf.layers.base import Observable
from demucs_tf.models.demucs import DemucsTF
from demucs_tf.models.hdemucs import HDemucsTF
from parity.core.mutate import Faults
from parity.faults.recurrent import traced_anew

fault = Faults()
_PLAIN, _DILATED = "demucs-dconv0 backward", "demucs-deep-branches backward"
_LSTM, _NORMS, _LOCAL = "demucs-lstm backward", "demucs-norm backward", "demucs-attention backward"
_HYBRID, _SILENCE = "hdemucs-plain backward", "hdemucs-masks-silence backward"
_TRANSFORMER = "htdemucs-plain backward"
# The gradients of the whole model are those by weights: they say that there is a fault, not where.
_SOMEWHERE = "."
Function = Callable[..., Any]
# The originals, before anything is replaced.
_step, _conv1d, _groupnorm = Observable.step, conv.Conv1d.call, norm.GroupNorm.call
_transposed, _attend = conv.ConvTranspose1d.call, attention.MultiheadAttention._attend
_sum, _layernorm = linear._over_axis_1, norm.LayerNorm.call
_gated, _over_rows = recurrent._gated, recurrent._over_rows
_stop = tf.stop_gradient


@tf.custom_gradient
def _gradient_of(value: Any, other: Any) -> Any:
    """`value`, with what comes back given to `other`."""
    return tf.identity(value), lambda slope: (None, slope)


def back(sound: Function, wrong: Function) -> Function:
    """`sound`, which is pulled back as if it were `wrong`."""

    @wraps(sound)  # Keras reads the signature
    def changed(*inputs: Any, **options: Any) -> Any:
        return _gradient_of(sound(*inputs, **options), wrong(*inputs, **options))

    return changed


def step_back(name: str, wrong: Function) -> Function:
    """A method `step` whose steps `name` are pulled back as if they were `wrong`."""

    def step(self: Any, step_name: str, function: Function, *inputs: Any) -> Any:
        if step_name != name:
            return _step(self, step_name, function, *inputs)

        def changed(*inputs: Any) -> Any:
            return _gradient_of(function(*inputs), wrong(function, *inputs))

        return _step(self, step_name, changed, *inputs)

    return step


# Activations and norms


def gelu_by_gate(self: Any, x: Any) -> Any:
    return x * _stop(activation.gelu(x) / x)


fault(
    "gelu-gate-stopped", _PLAIN, " GELU$", in_pass=_SOMEWHERE, replaces=(activation.GELU, "call")
)(back(activation.GELU.call, gelu_by_gate))


def glu_against_the_gate(self: Any, x: Any) -> Any:
    value, gate = tf.split(x, 2, axis=-1)
    gate = tf.sigmoid(gate)
    return value * (2 * _stop(gate) - gate)


fault(
    "glu-gate-of-wrong-sign", _PLAIN, " GLU$", in_pass=_SOMEWHERE, replaces=(activation.GLU, "call")
)(back(activation.GLU.call, glu_against_the_gate))


def group_statistics(mean: Function, variance: Function) -> Function:
    def call(self: Any, x: Any) -> Any:
        groups, width = self.num_groups, self.num_channels // self.num_groups
        grouped = tf.reshape(x, [x.shape[0], -1, groups, width])
        centred = grouped - mean(tf.reduce_mean(grouped, [1, 3], keepdims=True))
        spread = variance(tf.reduce_mean(centred**2, [1, 3], keepdims=True))
        grouped = centred / tf.sqrt(spread + self.epsilon)
        return tf.reshape(grouped, x.shape) * self.weight + self.bias

    return back(_groupnorm, call)


_GROUPNORM = (norm.GroupNorm, "call")
fault("groupnorm-mean-constant", _NORMS, " GroupNorm$", in_pass=_SOMEWHERE, replaces=_GROUPNORM)(
    group_statistics(_stop, lambda v: v)
)
fault(
    "groupnorm-variance-constant", _NORMS, " GroupNorm$", in_pass=_SOMEWHERE, replaces=_GROUPNORM
)(group_statistics(lambda m: m, _stop))


def layernorm_by_mean(self: Any, x: Any) -> Any:
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    spread = _stop(tf.reduce_mean(centred**2, -1, keepdims=True))
    return centred / tf.sqrt(spread + self.epsilon) * self.weight + self.bias


fault(
    "layernorm-variance-constant",
    _TRANSFORMER,
    r"^crosstransformer\.norm_in LayerNorm$",
    in_pass=_SOMEWHERE,
    replaces=(norm.LayerNorm, "call"),
)(back(_layernorm, layernorm_by_mean))
fault(
    "layerscale-of-the-first-step",
    _LSTM,
    r"\.scale LayerScale$",
    in_pass=_SOMEWHERE,
    replaces=(LayerScale, "call"),
)(
    back(
        LayerScale.call,
        lambda self, x: tf.concat([x[:, :1] * self.scale, x[:, 1:] * _stop(self.scale)], 1),
    )
)


# Convolutions


def conv_with_bias_of_the_first_item(self: Any, x: Any) -> Any:
    y = _conv1d(self, x)
    rest = _stop(tf.convert_to_tensor(self.bias)) - self.bias
    return tf.concat([y[:1], y[1:] + rest], 0)


fault(
    "bias-not-summed-over-the-batch",
    _LSTM,
    r"^encoder\.0\.0\.bias Conv1d$",
    in_pass=_SOMEWHERE,
    replaces=(conv.Conv1d, "call"),
)(back(_conv1d, conv_with_bias_of_the_first_item))


@fault(
    "sums-without-the-last-block",
    _PLAIN,
    r"\.bias Conv1d$",
    in_pass=_SOMEWHERE,
    replaces=(linear, "_over_axis_1"),
)
def sum_of_whole_blocks(x: Any) -> Any:
    whole = x.shape[1] // linear._ROWS * linear._ROWS
    return _sum(x[:, :whole] if whole else x)


@fault(
    "dilated-gradient-off-by-a-tap",
    _DILATED,
    r"layers\.1\.0(\.weight)? Conv1d$",
    in_pass=_SOMEWHERE,
    replaces=(conv, "_convolve_by_taps"),
)
def convolve_one_step_late(x: Any, weight: Any, stride: int, dilation: int) -> Any:
    taps = weight.shape[0]
    x = shape.pad_axis(x, 0, 1, axis=1)[:, 1:]
    span = x.shape[1] - dilation * (taps - 1)
    rows = [x[:, k * dilation : k * dilation + span : stride] for k in range(taps)]
    return tf.add_n([tf.matmul(row, weight[k]) for k, row in enumerate(rows)])


def transposed_unflipped(self: Any, x: Any) -> Any:
    output = [x.shape[0], (x.shape[1] - 1) * self.stride + self.kernel_size, self.out_channels]
    weight = tf.reverse(tf.convert_to_tensor(self.weight), [0])
    return tf.nn.conv1d_transpose(x, weight, output, self.stride, "VALID") + self.bias


fault(
    "transposed-gradient-unflipped",
    _PLAIN,
    r"^decoder\.0\.[23](\.weight)? ConvTranspose1d$",
    in_pass=_SOMEWHERE,
    replaces=(conv.ConvTranspose1d, "call"),
)(back(_transposed, transposed_unflipped))

# Attention and recurrence

fault(
    "softmax-without-cross-terms",
    _LOCAL,
    ":weights LocalState$",
    in_pass=_SOMEWHERE,
    replaces=(local_state.LocalState, "step"),
)(
    step_back(
        "weights",
        lambda _, x: (
            tf.exp(x - tf.reduce_max(x, -1, keepdims=True))
            / _stop(
                tf.reduce_sum(tf.exp(x - tf.reduce_max(x, -1, keepdims=True)), -1, keepdims=True)
            )
        ),
    )
)
fault(
    "attention-keys-stopped",
    _TRANSFORMER,
    ":heads MultiheadAttention$",
    in_pass=_SOMEWHERE,
    replaces=(attention.MultiheadAttention, "_attend"),
)(back(_attend, lambda self, q, k, v: _attend(self, q, _stop(k), v)))
fault(
    "lstm-sigmoid-slope",
    _LSTM,
    "lstm.* LSTM$",
    in_pass=_SOMEWHERE,
    replaces=(recurrent, "_gated"),
    within=traced_anew,
)(back(_gated, lambda x, gate: _gated(x, _stop(gate)) + _stop(x * tf.sigmoid(gate)) * gate))
fault(
    "lstm-weight-without-last-step",
    _LSTM,
    r"lstm\.weight_hh.* LSTM$",
    in_pass=_SOMEWHERE,
    replaces=(recurrent, "_over_rows"),
)(lambda x, slope: _over_rows(x[:-1], slope[:-1]))

# Steps of the models

fault(
    "branch-stopped", _DILATED, ":skip DConv$", in_pass=_SOMEWHERE, replaces=(dconv.DConv, "step")
)(step_back("skip", lambda _, x, y: x + _stop(y)))
fault(
    "deviation-constant", _PLAIN, "^:std Demucs$", in_pass=_SOMEWHERE, replaces=(DemucsTF, "step")
)(step_back("std", lambda std, x: _stop(std(x)) + 0 * x[..., :1]))
fault(
    "upsampling-mirrored",
    _PLAIN,
    "^:upsample Demucs$",
    in_pass=_SOMEWHERE,
    replaces=(DemucsTF, "step"),
)(step_back("upsample", lambda up, x: tf.reverse(up(tf.reverse(x, [-1])), [-1])))
fault(
    "spectrum-conjugated",
    _HYBRID,
    "^:stft HDemucs$",
    in_pass=_SOMEWHERE,
    replaces=(HDemucsTF, "step"),
)(step_back("stft", lambda stft, x: stft(x) * tf.constant([1, -1], x.dtype)))
fault(
    "root-at-zero",
    _SILENCE,
    "^:(magnitude|mask) HDemucs$",
    in_pass=_SOMEWHERE,
    replaces=(spectrogram, "_root"),
)(tf.sqrt)
