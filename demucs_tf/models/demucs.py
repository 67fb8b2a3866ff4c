"""Time-domain Demucs."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from demucs_tf.blocks.blstm import BLSTM
from demucs_tf.blocks.dconv import DConv
from demucs_tf.blocks.encoder import in_one
from demucs_tf.layers.activation import GELU, GLU, ReLU
from demucs_tf.layers.base import BTC, Layer, Sequential, is_joined, is_plain
from demucs_tf.layers.conv import Conv1d, ConvTranspose1d, gated
from demucs_tf.layers.norm import mean as mean_of
from demucs_tf.layers.norm import norm_or_identity, unbiased_std
from demucs_tf.layers.resample import resample_frac
from demucs_tf.layers.shape import center_trim, lengths, pad_axis, reshape, size
from demucs_tf.models.base import Model
from demucs_tf.models.config import DemucsConfig


@keras.saving.register_keras_serializable(package="demucs_tf")
class DemucsTF(Model):
    """Demucs on the waveform: a U-Net of strided convolutions with residual branches.

    Args:
        sources: names of the stems, in the order of the output.
        audio_channels: A; 2 for stereo, 1 for mono.
        channels: feature channels of the first encoder layer.
        growth: each further layer has this many times more.
        depth: number of encoder, and of decoder, layers.
        rewrite: follow each strided convolution by a 1x1 convolution.
        lstm_layers: layers of the LSTM between encoder and decoder; 0 for none.
        kernel_size: of the strided convolutions.
        stride: of the strided convolutions.
        context: the decoder's convolutions look this many steps to either side.
        gelu: GELU, otherwise ReLU.
        glu: GLU behind the 1x1 convolutions, otherwise ReLU.
        norm_starts: index of the first layer with GroupNorm.
        norm_groups: groups of those GroupNorms.
        dconv_mode: residual branches in 0: no layer, 1: the encoder, 2: the decoder, 3: both.
        dconv_depth: branches of a layer; a negative number switches dilation off.
        dconv_comp: compression inside a branch.
        dconv_attn: index of the first layer whose branches have attention.
        dconv_lstm: index of the first layer whose branches have an LSTM.
        dconv_init: initial factor of a branch.
        normalize: work on audio of zero mean and unit deviation, and undo that at the end.
        resample: work at twice the sample rate.
        rescale: bring the initial weights' deviation closer to this; 0 or None: leave them.
        samplerate: of the audio, in Hz; kept for `apply_model`.
        segment: length of the pieces that `apply_model` cuts, in seconds.
        dtype: "float32", or "float64" for the strict mode.

    Shape: (B, A, T) -> (B, S, A, T), channels first as in the reference, any T >= 1.

    Raises:
        ValueError: an impossible combination of arguments, or input of the wrong shape or type.

    Reference: demucs/demucs.py::Demucs
    """

    config: DemucsConfig
    config_class = DemucsConfig

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        config = self.config
        self.kernel_size = config.kernel_size
        self.stride = config.stride
        self.depth = config.depth
        self.resample = config.resample
        self.channels = config.channels
        self.normalize = config.normalize
        self.encoder, self.decoder, width = self._branches()
        self.lstm = None
        if config.lstm_layers:
            self.lstm = BLSTM(width, config.lstm_layers, dtype=self.compute_dtype)
        self._rescale(config.rescale)
        self._complete()

    def _branches(self) -> tuple[list[Layer], list[Layer], int]:
        """Encoder, decoder, and the channels between them."""
        config, dtype = self.config, self.compute_dtype

        def norm(index: int, width: int) -> Layer:
            return norm_or_identity(index >= config.norm_starts, config.norm_groups, width, dtype)

        def act2() -> Layer:
            return GELU(approximate=False, dtype=dtype) if config.gelu else ReLU(dtype=dtype)

        def dconv(index: int, width: int) -> Layer:
            return DConv(
                width,
                depth=config.dconv_depth,
                init=config.dconv_init,
                compress=config.dconv_comp,
                attn=index >= config.dconv_attn,
                lstm=index >= config.dconv_lstm,
                dtype=dtype,
            )

        # One for all layers, as in the reference.
        activation = GLU(dtype=dtype) if config.glu else ReLU(dtype=dtype)
        ch_scale = 2 if config.glu else 1
        kernel_size, stride = config.kernel_size, config.stride
        in_channels, channels = config.audio_channels, config.channels
        encoder: list[Layer] = []
        decoder: list[Layer] = []
        for index in range(config.depth):
            encode: list[Layer] = [
                Conv1d(in_channels, channels, kernel_size, stride, dtype=dtype),
                norm(index, channels),
                act2(),
            ]
            if config.dconv_mode & 1:
                encode += [dconv(index, channels)]
            if config.rewrite:
                encode += [
                    Conv1d(channels, ch_scale * channels, 1, dtype=dtype),
                    norm(index, ch_scale * channels),
                    activation,
                ]
            encoder.append(Sequential(encode, dtype=dtype))

            decode: list[Layer] = []
            stems = len(config.sources) * config.audio_channels
            out_channels = in_channels if index > 0 else stems
            if config.rewrite:
                kernel = 2 * config.context + 1
                decode += [
                    Conv1d(channels, ch_scale * channels, kernel, 1, config.context, dtype=dtype),
                    norm(index, ch_scale * channels),
                    activation,
                ]
            if config.dconv_mode & 2:
                decode += [dconv(index, channels)]
            decode += [ConvTranspose1d(channels, out_channels, kernel_size, stride, dtype=dtype)]
            if index > 0:
                decode += [norm(index, out_channels), act2()]
            decoder.insert(0, Sequential(decode, dtype=dtype))
            in_channels = channels
            channels = int(config.growth * channels)
        return encoder, decoder, in_channels

    def valid_length(self, length: Any) -> Any:
        """The shortest length >= `length` that leaves no step over in any convolution.

        Args:
            length: samples, an int or, inside a graph, an integer tensor.

        Reference: demucs/demucs.py::Demucs.valid_length
        """
        return self.config.valid_length(
            length, tf.maximum if isinstance(length, tf.Tensor) else max
        )

    def call(self, mix: Any) -> Any:
        """(B, A, T) -> (B, S, A, T)."""
        mix = self.check(mix)
        mix = tf.ensure_shape(mix, [None, self.audio_channels, None])
        length = size(mix, -1)
        x = mix
        if self.normalize:
            mono = self.step("mono", lambda x: tf.reduce_mean(x, 1, keepdims=True), mix)
            mean = self.step("mean", mean_of, mono)
            std = self.step("std", unbiased_std, mono)
            x = self.step("normalize", lambda x, mean, std: (x - mean) / (1e-5 + std), x, mean, std)

        delta = self.valid_length(length) - length
        x = self.step("pad", lambda x: pad_axis(x, delta // 2, delta - delta // 2, -1), x)
        if self.resample:
            x = self.step("upsample", lambda x: resample_frac(x, 1, 2), x)

        x = tf.transpose(x, [0, 2, 1])  # (B, T, C) from here to the last decoder layer
        saved = []
        for encode in self.encoder:
            x = _run(encode, x)
            saved.append(x)
        if self.lstm is not None:
            x = self.lstm(x)
        for decode in self.decoder:
            skip = center_trim(saved.pop(), size(x, 1), axis=1)  # equal at every valid length
            x = _run(decode, self.step("skip", tf.add, x, skip))
        x = tf.transpose(x, [0, 2, 1])  # (B, S A, T)

        if self.resample:
            x = self.step("downsample", lambda x: resample_frac(x, 2, 1), x)
        if self.normalize:
            x = self.step("denormalize", lambda x, std, mean: x * std + mean, x, std, mean)
        else:
            x = self.step("denormalize", tf.identity, x)
        if not _is_zero(size(x, -1) - length):  # else the reference does nothing either
            x = self.step("trim", lambda x: center_trim(x, length, -1), x)
        return self.step("split", self._split, x)

    def _split(self, x: Any) -> Any:
        return reshape(x, [*lengths(x)[:1], len(self.sources), self.audio_channels, size(x, -1)])


def _run(stage: Sequential, x: BTC) -> BTC:
    """Run the layers of a stage, a convolution in one with its activation where that may be."""
    if not is_joined():
        return stage(x)
    layers, at = stage.layers, 0
    while at < len(layers):
        layer, *behind = layers[at : at + 3]
        meet = len(behind) == 2 and in_one(behind[0]) and is_plain(layer, Conv1d, ConvTranspose1d)
        if meet and is_plain(behind[1], GELU, ReLU):
            x, at = layer.activated(x, behind[1].call), at + 3
        elif meet and is_plain(layer, Conv1d) and is_plain(behind[1], GLU):
            x, at = gated(layer, x), at + 3
        else:
            x, at = layer(x), at + 1
    return x


def _is_zero(length: Any) -> bool:
    """Whether a length is known, and known to be zero."""
    return isinstance(length, int) and length == 0
