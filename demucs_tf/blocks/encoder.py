"""The encoder layer of both branches of a hybrid model."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.blocks.dconv import DConv
from demucs_tf.layers.activation import gelu, glu
from demucs_tf.layers.base import BFTC, BTC, Identity, Layer, is_joined, is_plain
from demucs_tf.layers.conv import Conv1d, Conv2d, gated
from demucs_tf.layers.norm import norm_or_identity
from demucs_tf.layers.shape import lengths, pad_axis, reshape, size


class HEncLayer(Layer):
    """Strided convolution, residual branch, 1x1 convolution with GLU.

    Args:
        chin: channels of the input.
        chout: channels of the output, C'.
        kernel_size: of the strided convolution.
        stride: of the strided convolution.
        norm_groups: groups of the GroupNorms.
        empty: only the strided convolution, whose output joins the frequency branch.
        freq: work along frequency, otherwise along time.
        dconv: have a residual branch.
        norm: have GroupNorms.
        context: the 1x1 convolution looks this many steps to either side.
        dconv_kw: arguments of DConv.
        pad: pad by a quarter of the kernel on either side.
        rewrite: have the 1x1 convolution.

    Shape: with `freq` (B, F, T, C) -> (B, F', T, C'), otherwise (B, T, C) -> (B, T', C'), where
    T' = ceil(T / stride). A single frequency is dropped where time is worked on.

    Reference: demucs/hdemucs.py::HEncLayer
    """

    def __init__(
        self,
        chin: int,
        chout: int,
        kernel_size: int,
        stride: int,
        norm_groups: int,
        empty: bool,
        freq: bool,
        dconv: bool,
        norm: bool,
        context: int,
        dconv_kw: dict[str, Any],
        pad: bool,
        rewrite: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        dtype = self.dtype
        self.freq = freq
        self.kernel_size = kernel_size
        self.stride = stride
        self.empty = empty
        padding = kernel_size // 4 if pad else 0
        if freq:
            self.conv: Any = Conv2d(
                chin, chout, (kernel_size, 1), (stride, 1), (padding, 0), dtype=dtype
            )
        else:
            self.conv = Conv1d(chin, chout, kernel_size, stride, padding, dtype=dtype)
        if empty:
            return
        self.norm1 = norm_or_identity(norm, norm_groups, chout, dtype)
        self.rewrite: Any = None
        if rewrite:
            kernel = 1 + 2 * context
            if freq:
                self.rewrite = Conv2d(
                    chout, 2 * chout, (kernel, kernel), (1, 1), (context, context), dtype=dtype
                )
            else:
                self.rewrite = Conv1d(chout, 2 * chout, kernel, 1, context, dtype=dtype)
            self.norm2 = norm_or_identity(norm, norm_groups, 2 * chout, dtype)
        self.dconv = DConv(chout, **dconv_kw, dtype=dtype) if dconv else None

    def call(self, x: BFTC | BTC, inject: BTC = None) -> BFTC | BTC:
        """Encode; `inject` (B, T, C') is the output of the time branch, to join one frequency."""
        if not self.freq:
            if len(x.shape) == 4:
                x = self.step("flatten", lambda x: tf.squeeze(x, 1), x)
            surplus = size(x, 1) % self.stride
            if not isinstance(surplus, int) or surplus:
                missing = (self.stride - surplus) % self.stride
                x = self.step("pad", lambda x: pad_axis(x, 0, missing, axis=1), x)
        if not self.empty and inject is None and in_one(self.norm1):
            y = self.conv.activated(x, gelu)
            return self._rest(y)
        y = self.conv(x)
        if self.empty:
            return y
        if inject is not None:
            y = self.step("inject", lambda inject, y: y + inject[:, None], inject, y)
        return self._rest(self.step("gelu", gelu, self.norm1(y)))

    def _rest(self, y: Any) -> Any:
        if self.dconv is not None:
            y = by_rows(self, y) if self.freq else self.dconv(y)
        if self.rewrite is not None:
            if in_one(self.norm2):
                return gated(self.rewrite, y)
            y = self.step("glu", glu, self.norm2(self.rewrite(y)))
        return y


def in_one(norm: Layer) -> bool:
    """Whether the layers on both sides of `norm` may be one, which saves passes over memory."""
    return is_joined() and is_plain(norm, Identity)


def by_rows(layer: Any, y: BFTC) -> BFTC:
    """Run the residual branch of `layer` on each frequency by itself."""
    shape = lengths(y)
    count = size(y, 0) * y.shape[1]
    rows = layer.step("rows", lambda y: reshape(y, [count, *shape[2:]]), y)
    return layer.step("unrows", lambda y: reshape(y, shape), layer.dconv(rows))
