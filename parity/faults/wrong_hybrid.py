"""What the faults of `parity/faults/hdemucs.py` put in the place of the port's own code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from demucs_tf.blocks import multiwrap, transformer
from demucs_tf.layers import attention, conv, embedding, observe, shape, spectral
from demucs_tf.models import hybrid

# The originals, taken before anything is replaced.
_step = observe.Observable.step
_hann_window = spectral.hann_window
_pad1d = spectral.pad1d
_sin_embedding = embedding.sin_embedding
_sin_embedding_2d = embedding.sin_embedding_2d
_project = attention.MultiheadAttention._project
_conv2d = conv.Conv2d.call
_seam = multiwrap._seam
_cross = transformer.CrossTransformerEncoderLayer.call


def other_step(**functions: Callable[..., Any]) -> Callable[..., Any]:
    """`Observable.step` that runs other functions for the steps of these names."""

    def step(self: Any, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        return _step(self, name, functions.get(name, function), *inputs)

    return step


# Spectrogram


def ispectro(divide: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The inverse transform with another division by the sum of squared windows."""

    def inverse(z: Any, hop_length: int, length: Any, transform: str = "fft") -> Any:
        n_fft = 2 * z.shape[1] - 2
        frames = spectral._irfft(tf.transpose(z, [0, 3, 2, 1, 4]), n_fft)
        window = tf.constant(_hann_window(n_fft), z.dtype)
        signal = spectral._overlap_add(
            frames * window * tf.constant(n_fft**0.5, z.dtype), hop_length
        )
        signal = signal[..., n_fft // 2 : n_fft // 2 + length]
        return divide(signal, window)

    return inverse


def no_division(signal: Any, window: Any) -> Any:
    return signal


def steady_division(signal: Any, window: Any) -> Any:
    return signal / tf.constant(1.5, signal.dtype)  # four overlapping squares of a Hann window


def window_symmetric(length: int) -> Any:
    return np.hanning(length).astype(np.float32)


def window_float64(length: int) -> Any:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def pad_with_zeros(x: Any, left: Any, right: Any, reflect: bool) -> Any:
    return _pad1d(x, left, right, False)


def pad_short_by_repetition(x: Any, left: Any, right: Any, reflect: bool) -> Any:
    """Without zeros in front of the reflection: what is missing repeats the last sample."""
    missing = max(left, right) - x.shape[-1] + 1
    if not reflect or missing <= 0:
        return _pad1d(x, left, right, reflect)
    x = tf.concat([x, tf.repeat(x[..., -1:], missing, -1)], -1)
    return tf.pad(x, [[0, 0], [0, 0], [left, right - missing]], "REFLECT")


def swap_frequency_and_time(z: Any) -> Any:
    swapped = tf.reshape(tf.transpose(z, [0, 2, 1, 3, 4, 5]), z.shape)
    return tf.pad(swapped, [[0, 0], [0, 1], [2, 2], [0, 0], [0, 0], [0, 0]])


def pad_frames_behind(z: Any) -> Any:
    return tf.pad(z, [[0, 0], [0, 1], [0, 4], [0, 0], [0, 0], [0, 0]])


def gelu_tanh(x: Any) -> Any:
    return tf.nn.gelu(x, approximate=True)


def planar_channels(z: Any) -> Any:
    """Real parts of all channels, then imaginary parts."""
    return tf.concat([z[..., 0], z[..., 1]], -1)


def planar_sources(m: Any) -> Any:
    real, imag = tf.split(m, 2, -1)
    return tf.stack([real, imag], -1)


# Statistics and masks


def std_biased(x: Any) -> Any:
    return tf.math.reduce_std(x, list(range(1, len(x.shape))), keepdims=True)


def normalize_inside_root(x: Any, mean: Any, std: Any) -> Any:
    return (x - mean) / tf.sqrt(std**2 + 1e-5)


def denormalize_with_epsilon(self: Any, x: Any, std: Any, mean: Any) -> Any:
    shape_ = [*x.shape[:3], len(self.sources), -1]
    return tf.reshape(x, shape_) * (std + 1e-5)[..., None] + mean[..., None]


def mask_without_epsilon(z: Any, m: Any) -> Any:
    phase = z / hybrid._absolute(z)[..., None]
    return phase[:, :, :, None] * m[..., None]


def embedding_unweighted(weight: Any, x: Any) -> Any:
    return x + weight[:, None]


# Bands and branches


def seam_with_both_biases(stride: int, bias: Any) -> Callable[[Any, Any], Any]:
    return _seam(stride, 0 * bias)


def no_seam(stride: int, bias: Any) -> Callable[[Any, Any], Any]:
    return lambda out, following: out


def not_from_zeros(self: Any, x: Any, xt: Any, **_: Any) -> tuple[Any, Any]:
    return self.step("restart", tf.identity, x), self.step("restart_t", tf.identity, x)


def conv2d_axes_swapped(self: Any, x: Any) -> Any:
    weight = tf.transpose(tf.convert_to_tensor(self.weight), [1, 0, 2, 3])
    if self.kernel_size[0] != self.kernel_size[1] or self.kernel_size[0] == 1:
        return _conv2d(self, x)
    for axis, padding in zip((1, 2), self.padding, strict=True):
        x = shape.pad_axis(x, padding, padding, axis)
    return tf.nn.conv2d(x, weight, self.stride, "VALID") + self.bias


def transposed2d_unflipped(self: Any, x: Any) -> Any:
    weight = tf.reverse(tf.convert_to_tensor(self.weight), [0])
    freqs = (x.shape[1] - 1) * self.stride + self.kernel_size
    output = [x.shape[0], freqs, x.shape[2], self.out_channels]
    return tf.nn.conv2d_transpose(x, weight, output, (self.stride, 1), "VALID") + self.bias


# Transformer


def sines_first(positions: Any, dim: int, max_period: float) -> Any:
    return np.roll(_sin_embedding(positions, dim, max_period), dim // 2, -1)


def halves_swapped(dim: int, height: int, width: Any, max_period: float) -> Any:
    return np.roll(_sin_embedding_2d(dim, height, width, max_period), dim // 2, -1)


def not_interleaved(dim: int, height: int, width: Any, max_period: float) -> Any:
    x = _sin_embedding_2d(dim, height, width, max_period)
    quarters = x.reshape(*x.shape[:2], 2, dim // 4, 2)
    return np.moveaxis(quarters, -1, -2).reshape(x.shape)


def sin_embedding_float64(positions: Any, dim: int, max_period: float) -> Any:
    half = dim // 2
    periods = max_period ** (np.arange(half) / (half - 1))
    phase = np.asarray(positions, np.float64)[..., None] / periods
    return np.concatenate([np.cos(phase), np.sin(phase)], -1)


def tokens_frequency_major(self: Any, x: Any) -> Any:
    return tf.reshape(x, [x.shape[0], -1, x.shape[3]])


def project_in_turn(order: tuple[int, int, int]) -> Callable[..., Any]:
    return lambda self, x, index: _project(self, x, order[index])


def attend(
    scale: Callable[[int], float] = lambda width: width**-0.5, axis: int = -1
) -> Callable[..., Any]:
    def attention_(self: Any, q: Any, k: Any, v: Any) -> Any:
        q, k, v = self._split(q), self._split(k), self._split(v)
        factor = tf.constant(scale(self.embed_dim // self.num_heads), q.dtype)
        scores = tf.matmul(q * factor, k, transpose_b=True)
        return tf.transpose(tf.matmul(tf.nn.softmax(scores, axis), v), [0, 2, 1, 3])

    return attention_


def split_interleaved(self: Any, x: Any) -> Any:
    """Heads take every H-th channel."""
    x = tf.reshape(x, [x.shape[0], x.shape[1], -1, self.num_heads])
    return tf.transpose(x, [0, 3, 1, 2])


def by_position(self: Any, x: Any) -> Any:
    """A norm of each position by itself in place of one over all."""
    mean = tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.math.reduce_variance(x, -1, keepdims=True)
    return (x - mean) / tf.sqrt(variance + self.epsilon) * self.weight + self.bias


def norms_swapped(self: Any, q: Any, k: Any) -> Any:
    self.norm1, self.norm2 = self.norm2, self.norm1
    try:
        return _cross(self, q, k)
    finally:
        self.norm1, self.norm2 = self.norm2, self.norm1


def shift_ignored(self: Any, generator: Any = None) -> int:
    return 0


def pad_in_front(x: Any, left: Any, right: Any, axis: int) -> Any:
    return shape.pad_axis(x, right, left, axis)
