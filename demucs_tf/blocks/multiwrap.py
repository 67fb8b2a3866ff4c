"""One layer for each frequency band."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from demucs_tf.blocks.decoder import HDecLayer
from demucs_tf.blocks.encoder import HEncLayer
from demucs_tf.layers.activation import gelu
from demucs_tf.layers.base import BFTC, Layer
from demucs_tf.layers.shape import pad_axis


class MultiWrap(Layer):
    """Copies of an encoder or decoder layer, each with weights of its own for one band.

    The bands are cut so that equal weights would give what one layer for all frequencies gives.

    Args:
        make: makes one of the layers: along frequency, without padding or GELU at the end.
        split_ratios: where the bands meet, as rising shares of all frequencies.
        last: no GELU at the end (decoder).

    Shape: (B, F, T, C) -> (B, F', T, C').

    Raises:
        ValueError: a band has no room for the kernel.

    Reference: demucs/hdemucs.py::MultiWrap
    """

    def __init__(
        self,
        make: Callable[[], HEncLayer | HDecLayer],
        split_ratios: Sequence[float],
        last: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.split_ratios = list(split_ratios)
        self.last = last
        self.layers = [make() for _ in range(len(split_ratios) + 1)]

    def call(self, x: BFTC, skip: BFTC = None, length: Any = None) -> Any:
        """Run every band's layer; a decoder also returns None, as the reference does."""
        if isinstance(self.layers[0], HEncLayer):
            return self._encode(x)
        return self._decode(x, skip), None

    def _encode(self, x: Any) -> Any:
        freqs, start, outs = x.shape[1], 0, []
        for ratio, layer in zip([*self.split_ratios, 1], self.layers, strict=True):
            kernel, stride = layer.kernel_size, layer.stride
            pad = kernel // 4
            left, right = (pad if start == 0 else 0), (pad if ratio == 1 else 0)
            if ratio == 1:
                limit, frames = freqs, 1
            else:
                # QUIRK demucs/hdemucs.py:208-212: Python's round, which takes halves to even.
                room = round(freqs * ratio) - start + left
                frames = round((room - kernel) / stride + 1)
                limit = start + (frames - 1) * stride + kernel - left
            if frames < 1 or limit <= start or limit > freqs:
                raise ValueError(
                    f"multi_freqs {self.split_ratios} leaves no room for a kernel of {kernel} "
                    f"in the band from {start} to {limit} of {freqs} frequencies: move the splits."
                )
            outs.append(layer(self.step("band", _cut(start, limit, left, right), x)))
            start = limit - kernel + stride
        return self.step("join", lambda *outs: tf.concat(outs, 1), *outs)

    def _decode(self, x: Any, skip: Any) -> Any:
        freqs, start = x.shape[1], 0
        outs: list[Any] = []
        for ratio, layer in zip([*self.split_ratios, 1], self.layers, strict=True):
            limit = freqs if ratio == 1 else round(freqs * ratio)
            band = self.step("band", _cut(start, limit), x)
            out, _ = layer(band, self.step("skip_band", _cut(start, limit), skip))
            stride = layer.stride
            first, after = 0, out.shape[1]
            if outs:
                outs[-1] = self.step("seam", _seam(stride, layer.conv_tr.bias), outs[-1], out)
                first = stride
            if ratio == 1:
                after += -stride // 2
            if start == 0:
                first = stride // 2
            outs.append(self.step("crop", _cut(first, after), out))
            start = limit
        out = self.step("join", lambda *outs: tf.concat(outs, 1), *outs)
        return out if self.last else self.step("gelu", gelu, out)


def _cut(start: int, limit: int, left: int = 0, right: int = 0) -> Callable[[Any], Any]:
    return lambda x: pad_axis(x[:, start:limit], left, right, axis=1)


def _seam(stride: int, bias: Any) -> Callable[[Any, Any], Any]:
    """Add the start of the next band to the end of this one; both bring the bias."""

    def add(out: Any, following: Any) -> Any:
        seam = out[:, -stride:] + (following[:, :stride] - bias)
        return tf.concat([out[:, :-stride], seam], 1)

    return add
