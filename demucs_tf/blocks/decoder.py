"""The decoder layer of both branches of a hybrid model."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.blocks.dconv import DConv
from demucs_tf.blocks.encoder import by_rows, in_one
from demucs_tf.layers.activation import gelu, glu
from demucs_tf.layers.base import Layer
from demucs_tf.layers.conv import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, gated
from demucs_tf.layers.norm import norm_or_identity


class HDecLayer(Layer):
    """Skip connection, 3x3 convolution with GLU, residual branch, transposed convolution.

    Args:
        chin: channels of the input, C.
        chout: channels of the output, C'.
        last: no GELU at the end.
        kernel_size: of the transposed convolution.
        stride: of the transposed convolution.
        norm_groups: groups of the GroupNorms.
        empty: only the transposed convolution, on what the frequency branch hands over.
        freq: work along frequency, otherwise along time.
        dconv: have a residual branch.
        norm: have GroupNorms.
        context: the 3x3 convolution looks this many steps to either side.
        dconv_kw: arguments of DConv.
        pad: cut off a quarter of the kernel on either side.
        context_freq: let the 3x3 convolution see neighbouring frequencies; otherwise only time.
        rewrite: have the 3x3 convolution.

    Shape: with `freq` (B, F, T, C) -> (B, F', T, C'), otherwise (B, T, C) -> (B, length, C').
    A missing frequency axis is added where frequency is worked on. Returned with the input of the
    transposed convolution.

    Reference: demucs/hdemucs.py::HDecLayer
    """

    def __init__(
        self,
        chin: int,
        chout: int,
        last: bool,
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
        context_freq: bool,
        rewrite: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        dtype = self.dtype
        self.pad = kernel_size // 4 if pad else 0
        self.last = last
        self.freq = freq
        self.empty = empty
        self.stride = stride
        transposed = ConvTranspose2d if freq else ConvTranspose1d
        self.conv_tr: Any = transposed(chin, chout, kernel_size, stride, dtype=dtype)
        self.norm2 = norm_or_identity(norm, norm_groups, chout, dtype)
        if empty:
            return
        self.rewrite: Any = None
        if rewrite:
            kernel = 1 + 2 * context
            if freq:
                kernels = (kernel if context_freq else 1, kernel)
                padding = (context if context_freq else 0, context)
                self.rewrite = Conv2d(chin, 2 * chin, kernels, (1, 1), padding, dtype=dtype)
            else:
                self.rewrite = Conv1d(chin, 2 * chin, kernel, 1, context, dtype=dtype)
            self.norm1 = norm_or_identity(norm, norm_groups, 2 * chin, dtype)
        self.dconv = DConv(chin, **dconv_kw, dtype=dtype) if dconv else None

    def call(self, x: Any, skip: Any = None, length: Any = None) -> tuple[Any, Any]:
        """Decode, along time to `length` samples; `skip` is what the encoder saved."""
        if self.freq and len(x.shape) == 3:
            x = self.step("unflatten", lambda x: x[:, None], x)
        y = x
        if not self.empty:
            y = self.step("skip", tf.add, x, skip)
            if self.rewrite is not None:
                if in_one(self.norm1):
                    y = gated(self.rewrite, y)
                else:
                    y = self.step("glu", glu, self.norm1(self.rewrite(y)))
            if self.dconv is not None:
                y = by_rows(self, y) if self.freq else self.dconv(y)
        early = not self.last and in_one(self.norm2)  # GELU, which does not mind the crop
        z = self.conv_tr.activated(y, gelu) if early else self.norm2(self.conv_tr(y))
        if self.freq:
            if self.pad:
                z = self.step("crop", lambda z: z[:, self.pad : -self.pad], z)
        else:
            z = self.step("crop", lambda z: z[:, self.pad : self.pad + length], z)
        if not self.last and not early:
            z = self.step("gelu", gelu, z)
        return z, y
