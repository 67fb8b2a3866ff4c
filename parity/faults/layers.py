"""Faults of normalisation, activations, convolutions and residual branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from demucs_tf.blocks import dconv
from demucs_tf.blocks.layer_scale import LayerScale
from demucs_tf.layers import activation, conv, norm, shape
from parity.core.mutate import Faults
from parity.faults.change import swapped_glu, with_attributes, without_step

fault = Faults()
_PLAIN, _BRANCHES = "demucs-dconv0", "demucs-no-dilation"
_DILATED, _NORMS = "demucs-deep-branches", "demucs-norm"
_HYBRID, _TRANSFORMER = "hdemucs-plain", "htdemucs-plain"
_GROUPNORM, _GELU = (norm.GroupNorm, "call"), (activation.GELU, "call")
_CONV1D, _CONV2D = (conv.Conv1d, "call"), (conv.Conv2d, "call")
# The originals, before anything is replaced.
_groupnorm, _layernorm, _gelu = norm.GroupNorm.call, norm.LayerNorm.call, activation.GELU.call
_conv1d, _conv2d = conv.Conv1d.call, conv.Conv2d.call

# Normalisation


def groupnorm(
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


fault("groupnorm-keras-epsilon", _BRANCHES, " GroupNorm$", replaces=_GROUPNORM)(
    with_attributes(_groupnorm, epsilon=1e-3)
)
fault("groupnorm-epsilon-outside-root", _BRANCHES, " GroupNorm$", replaces=_GROUPNORM)(
    groupnorm(root=lambda v, e: tf.sqrt(v) + e)
)
fault("groupnorm-unbiased-variance", _BRANCHES, " GroupNorm$", replaces=_GROUPNORM)(
    groupnorm(variance=lambda v, n: v * n / (n - 1))
)
fault("groupnorm-one-group", _NORMS, r"encoder\.0\.1 GroupNorm$", replaces=_GROUPNORM)(
    with_attributes(_groupnorm, num_groups=1)
)


@fault("norm-out-by-position", _TRANSFORMER, r"norm_out MyGroupNorm$", replaces=_GROUPNORM)
def groupnorm_of_each_position(self: Any, x: Any) -> Any:
    mean = tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.math.reduce_variance(x, -1, keepdims=True)
    return (x - mean) / tf.sqrt(variance + self.epsilon) * self.weight + self.bias


fault(
    "layernorm-keras-epsilon",
    _TRANSFORMER,
    r"^crosstransformer\.norm_in LayerNorm$",
    replaces=(norm.LayerNorm, "call"),
)(with_attributes(_layernorm, epsilon=1e-3))

# Activations

fault("gelu-tanh", _PLAIN, r"encoder\.0\.2 GELU$", replaces=_GELU)(
    with_attributes(_gelu, approximate=True)
)
fault("gelu-float32-constant", _PLAIN, r"encoder\.0\.2 GELU$", replaces=_GELU, beyond_float32=True)(
    lambda self, x: tf.nn.gelu(x, approximate=False)
)
fault("glu-halves-swapped", _PLAIN, " GLU$", replaces=(activation.GLU, "call"))(
    lambda self, x: swapped_glu(x)
)


# Convolutions

fault("conv-bias-dropped", _PLAIN, " Conv1d$", replaces=_CONV1D)(
    lambda self, x: _conv1d(self, x) - self.bias
)


@fault("conv-causal-padding", _PLAIN, r"decoder\.0\.0 Conv1d$", replaces=_CONV1D)
def conv_causal(self: Any, x: Any) -> Any:
    if self.padding:
        x = tf.roll(x, self.padding, axis=1)
    return _conv1d(self, x)


@fault("conv-dilation-ignored", _DILATED, r"layers\.1\.0 Conv1d$", replaces=_CONV1D)
def conv_undilated(self: Any, x: Any) -> Any:
    if self.dilation == 1:
        return _conv1d(self, x)
    x = tf.pad(x, [[0, 0], [self.kernel_size // 2] * 2, [0, 0]])
    return tf.nn.conv1d(x, tf.convert_to_tensor(self.weight), self.stride, "VALID") + self.bias


@fault("conv2d-axes-swapped", _HYBRID, r"decoder\.0\.rewrite Conv2d$", replaces=_CONV2D)
def conv2d_with_axes_swapped(self: Any, x: Any) -> Any:
    if self.kernel_size[0] != self.kernel_size[1] or self.kernel_size[0] == 1:
        return _conv2d(self, x)
    weight = tf.transpose(tf.convert_to_tensor(self.weight), [1, 0, 2, 3])
    for axis, padding in zip((1, 2), self.padding, strict=True):
        x = shape.pad_axis(x, padding, padding, axis)
    return tf.nn.conv2d(x, weight, self.stride, "VALID") + self.bias


@fault(
    "transposed-kernel-unflipped",
    _PLAIN,
    " ConvTranspose1d$",
    replaces=(conv.ConvTranspose1d, "call"),
)
def transposed_unflipped(self: Any, x: Any) -> Any:
    output = [x.shape[0], (x.shape[1] - 1) * self.stride + self.kernel_size, self.out_channels]
    weight = tf.reverse(tf.convert_to_tensor(self.weight), [0])
    return tf.nn.conv1d_transpose(x, weight, output, self.stride, "VALID") + self.bias


@fault(
    "transposed2d-unflipped",
    _HYBRID,
    r"conv_tr ConvTranspose2d$",
    replaces=(conv.ConvTranspose2d, "call"),
)
def transposed2d_unflipped(self: Any, x: Any) -> Any:
    weight = tf.reverse(tf.convert_to_tensor(self.weight), [0])
    freqs = (x.shape[1] - 1) * self.stride + self.kernel_size
    output = [x.shape[0], freqs, x.shape[2], self.out_channels]
    return tf.nn.conv2d_transpose(x, weight, output, (self.stride, 1), "VALID") + self.bias


# Residual branches

fault("layerscale-dropped", _BRANCHES, " LayerScale$", replaces=(LayerScale, "call"))(
    lambda self, x: x
)
fault(
    "branch-residual-dropped",
    _BRANCHES,
    r"encoder\.0\.3:skip DConv$",
    replaces=(dconv.DConv, "step"),
)(without_step("skip"))
