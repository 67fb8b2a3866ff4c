"""The residual branch of encoder and decoder layers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.blocks.blstm import BLSTM
from demucs_tf.blocks.layer_scale import LayerScale
from demucs_tf.blocks.local_state import LocalState
from demucs_tf.layers.activation import GELU, GLU, ReLU
from demucs_tf.layers.base import BTC, Layer, Sequential, is_joined, is_plain, once_there
from demucs_tf.layers.conv import Conv1d
from demucs_tf.layers.linear import product
from demucs_tf.layers.norm import GroupNorm, fold, norm_or_identity
from demucs_tf.layers.shape import parts


class DConv(Layer):
    """Dilated convolutions through a bottleneck, with LSTM and attention on demand.

    Args:
        channels: C, in and out.
        compress: the bottleneck has int(C / compress) channels.
        depth: how many branches, one after another; a negative number switches dilation off.
        init: initial factor of each branch.
        norm: normalise inside the branches.
        attn: put a LocalState of `heads` heads and `ndecay` decays into each branch.
        lstm: put a BLSTM into each branch.
        gelu: GELU after the first convolution, otherwise ReLU.
        kernel: odd size of the first convolution.

    Shape: (B, T, C) -> (B, T, C).

    Raises:
        ValueError: `kernel` is even, or nothing is left of the channels.

    Reference: demucs/demucs.py::DConv
    """

    repeated = True

    def __init__(
        self,
        channels: int,
        compress: float = 4,
        depth: int = 2,
        init: float = 1e-4,
        norm: bool = True,
        attn: bool = False,
        heads: int = 4,
        ndecay: int = 4,
        lstm: bool = False,
        gelu: bool = True,
        kernel: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kernel % 2 == 0:
            raise ValueError(f"DConv needs an odd kernel, got {kernel}.")
        dtype = self.dtype
        hidden = int(channels / compress)
        if hidden < 1:
            raise ValueError(
                f"DConv compresses {channels} channels by {compress} to none: make dconv_comp "
                "smaller or channels larger."
            )

        def branch(dilation: int) -> Sequential:
            padding = dilation * (kernel // 2)
            start = [
                Conv1d(channels, hidden, kernel, 1, padding, dilation, dtype=dtype),
                norm_or_identity(norm, 1, hidden, dtype),
                GELU(approximate=False, dtype=dtype) if gelu else ReLU(dtype=dtype),
            ]
            middle: list[Layer] = []
            if lstm:
                middle.append(BLSTM(hidden, layers=2, max_steps=200, skip=True, dtype=dtype))
            if attn:
                middle.append(LocalState(hidden, heads, ndecay, dtype=dtype))
            end = [
                Conv1d(hidden, 2 * channels, 1, dtype=dtype),
                norm_or_identity(norm, 1, 2 * channels, dtype),
                GLU(dtype=dtype),
                LayerScale(channels, init, dtype=dtype),
            ]
            return Sequential(start + middle + end, dtype=dtype)

        # QUIRK demucs/demucs.py:118: the sign of depth switches dilation; `dilate` is ignored.
        self.layers = [branch(2**d if depth > 0 else 1) for d in range(abs(depth))]

    def call(self, x: BTC) -> BTC:
        for layer in self.layers:
            if is_joined() and _is_foldable(layer.layers[-4:]):
                x = x + _at_once(layer.layers, x)
            else:
                x = self.step("skip", tf.add, x, layer(x))
        return x


# The convolution at the end of a branch makes two dozen channels of one, and what follows would go
# over them a dozen times. Two products do it all, but for multiplying one with the other.
_END = [Conv1d, GroupNorm, GLU, LayerScale]
# From more channels than these, to which a few hundred positions belong, the product of its weight
# with itself takes longer than all of that.
_MOST = 256


def _is_foldable(end: list[Any]) -> bool:
    as_usual = len(end) == len(_END) and all(map(is_plain, end, _END))
    return as_usual and end[0].weight.shape[1] <= _MOST


def _at_once(layers: list[Any], x: Any) -> Any:
    """Run the layers of a branch, with the last four as one."""
    *start, conv, norm, _, scale = layers
    for layer in start:
        x = layer(x)
    x, weight = fold(x, tf.squeeze(once_there(x, conv.weight), 0), conv.bias, norm)
    (weight, of_gate), (bias, gate_bias) = parts(weight, 2), parts(norm.bias, 2)
    gate = product(x, of_gate, gate_bias, tf.sigmoid)
    return product(x, weight * scale.scale, bias * scale.scale) * gate
