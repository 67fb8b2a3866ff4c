"""EnCodec's encoder and decoder in Keras. Nothing in here knows of the harness.

Classes and attributes have the names of transformers' `modeling_encodec.py`; what the reference
does without a module (`pad`, `trim`, `skip`) is a layer of its own. Tensors are (B, T, C). `config`
is an `EncodecConfig`, or anything with its attributes.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

EPSILON = 1e-5  # of torch's GroupNorm; Keras has another


class Layer(keras.layers.Layer):
    """Variables exist from the constructor on, so Keras has nothing to build."""

    def build(self, input_shape: Any) -> None:
        pass


class ELU(Layer):
    """Keras's own takes 1 from an exponential, and loses up to two bits next to 0."""

    def call(self, x: Any) -> Any:
        return ops.where(x > 0, x, ops.expm1(ops.minimum(x, 0)))


def weight_norm(direction: Any, gain: Any) -> Any:
    """One length for each index of the last axis, torch's first."""
    return direction * (gain / ops.sqrt(ops.sum(ops.square(direction), (0, 1), keepdims=True)))


class Conv(Layer):
    """`torch.nn.Conv1d` or, if `transposed`, `ConvTranspose1d`, maybe with weight norm."""

    def __init__(
        self,
        channels: tuple[int, int],
        size: int,
        stride: int = 1,
        dilation: int = 1,
        *,
        transposed: bool = False,
        normed: bool,
    ) -> None:
        super().__init__()
        self.stride, self.dilation, self.transposed = stride, dilation, transposed
        shape = (size, *(reversed(channels) if transposed else channels))
        self.gain = self.add_weight((1, 1, shape[-1]), name="gain") if normed else None
        self.kernel = self.add_weight(shape, name="direction" if normed else "kernel")
        self.bias = self.add_weight((channels[1],), name="bias")

    def call(self, x: Any) -> Any:
        kernel = self.kernel if self.gain is None else weight_norm(self.kernel, self.gain)
        if self.transposed:
            return ops.conv_transpose(x, kernel, self.stride, "valid") + self.bias
        return ops.conv(x, kernel, self.stride, "valid", None, self.dilation) + self.bias


class Pad(Layer):
    """Reflect both ends, so that every sample is heard; (B, T, C), T has to be known.

    Too short a signal gets zeros on its right for the reflection, which are taken off again.
    """

    def __init__(self, config: Any, reach: int, stride: int) -> None:
        super().__init__()
        self.causal, self.stride, self.total = config.use_causal_conv, stride, reach - stride

    def widths(self, length: int) -> tuple[int, int]:
        """How much to add on the left and on the right."""
        right = 0 if self.causal else self.total // 2
        return self.total - right, right + -length % self.stride

    def call(self, x: Any) -> Any:
        length = x.shape[1]
        left, right = self.widths(length)
        zeros = max(0, max(left, right) - length + 1)
        x = ops.pad(x, ((0, 0), (0, zeros), (0, 0)))
        x = ops.pad(x, ((0, 0), (left, right), (0, 0)), mode="reflect")
        return x[:, : left + length + right]


class Normed(Layer):
    """A convolution with weight norm, or with a group norm of one group behind it."""

    def __init__(
        self, config: Any, channels: tuple[int, int], size: int, stride: int = 1, **options: Any
    ) -> None:
        super().__init__()
        normed = config.norm_type == "weight_norm"
        self.conv = Conv(channels, size, stride, normed=normed, **options)
        self.norm = None
        if not normed:
            self.norm = keras.layers.GroupNormalization(groups=1, epsilon=EPSILON)
            self.norm.build((None, None, channels[1]))

    def call(self, x: Any) -> Any:
        x = self.conv(x)
        return x if self.norm is None else self.norm(x)


class EncodecConv1d(Normed):
    """(B, T, C) -> (B, ceil(T / stride), C')"""

    def __init__(
        self, config: Any, channels: tuple[int, int], size: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__(config, channels, size, stride, dilation=dilation)
        self.pad = Pad(config, (size - 1) * dilation + 1, stride)

    def call(self, x: Any) -> Any:
        return super().call(self.pad(x))


class EncodecConvTranspose1d(Normed):
    """(B, T, C) -> (B, stride T, C')"""

    def __init__(self, config: Any, channels: tuple[int, int], size: int, stride: int) -> None:
        super().__init__(config, channels, size, stride, transposed=True)
        total = size - stride
        right = total // 2
        if config.use_causal_conv:
            right = math.ceil(total * config.trim_right_ratio)
        self.trim = keras.layers.Cropping1D((total - right, right))

    def call(self, x: Any) -> Any:
        return self.trim(super().call(x))


def lstm_cell(gates: Any, c: Any) -> Any:
    """The next output and cell; gates in torch's order."""
    i, f, g, o = ops.split(gates, 4, axis=-1)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    return ops.sigmoid(o) * ops.tanh(c), c


class LSTM(Layer):
    """`torch.nn.LSTM`: two biases, where Keras' own has one; (B, T, D) -> the same, and the state.

    The state is (L, B, D), twice.
    """

    def __init__(self, size: int, depth: int) -> None:
        super().__init__()
        self.levels = [
            [
                self.add_weight(shape, name=f"{kind}_{source}_l{level}")
                for kind, shape in (("weight", (size, 4 * size)), ("bias", (4 * size,)))
                for source in ("ih", "hh")
            ]
            for level in range(depth)
        ]

    def call(self, x: Any) -> Any:
        states = []
        for weight_ih, weight_hh, bias_ih, bias_hh in self.levels:
            h = c = ops.zeros_like(x[:, 0])
            outputs = []
            for gates in ops.unstack(ops.matmul(x, weight_ih) + bias_ih, axis=1):
                h, c = lstm_cell(gates + (ops.matmul(h, weight_hh) + bias_hh), c)
                outputs.append(h)
            x = ops.stack(outputs, axis=1)
            states.append((h, c))
        h, c = zip(*states, strict=True)
        return x, ops.stack(h), ops.stack(c)


class EncodecLSTM(Layer):
    """(B, T, C) -> the same."""

    def __init__(self, config: Any, channels: int) -> None:
        super().__init__()
        self.lstm = LSTM(channels, config.num_lstm_layers)
        self.skip = keras.layers.Add()

    def call(self, x: Any) -> Any:
        return self.skip([self.lstm(x)[0], x])


class EncodecResnetBlock(Layer):
    """(B, T, C) -> the same."""

    def __init__(self, config: Any, channels: int, dilation: int) -> None:
        super().__init__()
        inside = channels // config.compress
        size = config.residual_kernel_size
        self.block = [
            ELU(),
            EncodecConv1d(config, (channels, inside), size, dilation=dilation),
            ELU(),
            EncodecConv1d(config, (inside, channels), 1),
        ]
        self.shortcut = keras.layers.Identity()
        if config.use_conv_shortcut:
            self.shortcut = EncodecConv1d(config, (channels, channels), 1)
        self.skip = keras.layers.Add()

    def call(self, x: Any) -> Any:
        y = x
        for layer in self.block:
            y = layer(y)
        return self.skip([self.shortcut(x), y])


class Stack(Layer):
    """`EncodecEncoder` or `EncodecDecoder`: one layer after the other."""

    def __init__(self, layers: list[Any]) -> None:
        super().__init__()
        self.layers = layers

    def call(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


def residuals(config: Any, channels: int) -> list[Any]:
    """The blocks of one level; the dilation grows from one to the next."""
    dilations = (config.dilation_growth_rate**j for j in range(config.num_residual_layers))
    return [EncodecResnetBlock(config, channels, dilation) for dilation in dilations]


def encoder(config: Any) -> Stack:
    """(B, T, A) -> (B, ceil(T / ratios), D)"""
    width = config.num_filters
    layers: list[Any] = [EncodecConv1d(config, (config.audio_channels, width), config.kernel_size)]
    for ratio in reversed(config.upsampling_ratios):
        down = EncodecConv1d(config, (width, 2 * width), 2 * ratio, ratio)
        layers += [*residuals(config, width), ELU(), down]
        width *= 2
    last = EncodecConv1d(config, (width, config.hidden_size), config.last_kernel_size)
    return Stack([*layers, EncodecLSTM(config, width), ELU(), last])


def decoder(config: Any) -> Stack:
    """(B, T, D) -> (B, ratios T, A)"""
    width = config.num_filters * 2 ** len(config.upsampling_ratios)
    layers: list[Any] = [EncodecConv1d(config, (config.hidden_size, width), config.kernel_size)]
    layers += [EncodecLSTM(config, width)]
    for ratio in config.upsampling_ratios:
        up = EncodecConvTranspose1d(config, (width, width // 2), 2 * ratio, ratio)
        width //= 2
        layers += [ELU(), up, *residuals(config, width)]
    last = EncodecConv1d(config, (width, config.audio_channels), config.last_kernel_size)
    return Stack([*layers, ELU(), last])


class Encodec(Layer):
    """Encoder and decoder without the codebooks between them; (B, T, A) -> (B, T', A)"""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder(config), decoder(config)

    def call(self, x: Any) -> Any:
        return self.decoder(self.encoder(x))
