"""Faults of the spectrogram: the transforms and their padding, masks, the Wiener filter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from demucs_tf.blocks import spectrogram, wiener
from demucs_tf.layers import spectral
from demucs_tf.models.hybrid import HybridModel
from parity.core.mutate import Faults
from parity.faults.change import in_step

fault = Faults()
_PLAIN, _RESIDUAL = "hdemucs-plain", "hdemucs-wiener2-residual"
_STEP, _ISPECTRO = (HybridModel, "step"), (spectrogram, "ispectro")
_WINDOW, _PAD1D = (spectral, "hann_window"), (spectrogram, "pad1d")
# The originals, before anything is replaced.
_hann_window, _pad1d = spectral.hann_window, spectrogram.pad1d

# The transforms


def ispectro(divide: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The inverse transform with another division by the sum of squared windows."""

    def inverse(z: Any, hop_length: int, length: Any, transform: str = "fft") -> Any:
        n_fft = 2 * z.shape[1] - 2
        spectra = tf.reshape(z, [*z.shape[:3], 2 * z.shape[3]])
        frames = spectral._irfft(tf.transpose(spectra, [0, 2, 3, 1]), n_fft)
        window = tf.constant(_hann_window(n_fft), z.dtype)
        blocks = spectral._overlap_add(
            frames * window * tf.constant(n_fft**0.5, z.dtype), hop_length
        )
        signal = tf.reshape(tf.transpose(blocks, [0, 2, 1, 3]), [z.shape[0], z.shape[3], -1])
        signal = signal[..., n_fft // 2 : n_fft // 2 + length]
        return divide(signal, window)

    return inverse


fault("istft-without-window-sum", _PLAIN, "^:istft HDemucs$", replaces=_ISPECTRO)(
    ispectro(lambda signal, window: signal)
)


@fault("istft-steady-window-old", "hdemucs-old", "^:istft HDemucs$", replaces=_ISPECTRO)
@fault(
    "istft-steady-window-spectrogram", "hdemucs-spectrogram", "^:istft HDemucs$", replaces=_ISPECTRO
)
@ispectro
def steady_division(signal: Any, window: Any) -> Any:
    return signal / tf.constant(1.5, signal.dtype)  # four overlapping squares of a Hann window


fault("hann-symmetric", _PLAIN, "^:stft HDemucs$", replaces=_WINDOW)(
    lambda length: np.hanning(length).astype(np.float32)
)
fault("hann-float64", _PLAIN, "^:stft HDemucs$", replaces=_WINDOW, beyond_float32=True)(
    lambda length: 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
)


# Padding and axes


@fault("ispec-axes-swapped", _PLAIN, "^:ispec_pad HDemucs$", replaces=_STEP)
@in_step("ispec_pad")
def swap_frequency_and_time(z: Any) -> Any:
    swapped = tf.reshape(tf.transpose(z, [0, 2, 1, 3, 4, 5]), z.shape)
    return tf.pad(swapped, [[0, 0], [0, 1], [2, 2], [0, 0], [0, 0], [0, 0]])


fault("ispec-frames-padded-behind", _PLAIN, "^:ispec_pad HDemucs$", replaces=_STEP)(
    in_step("ispec_pad")(lambda z: tf.pad(z, [[0, 0], [0, 1], [0, 4], [0, 0], [0, 0], [0, 0]]))
)
fault("spectrogram-zero-padded", _PLAIN, "^:spec_pad HDemucs$", replaces=_PAD1D)(
    lambda x, left, right, reflect: _pad1d(x, left, right, False)
)


@fault("short-input-repeated", "hdemucs-below-one-hop", "^:spec_pad HDemucs$", replaces=_PAD1D)
def pad_short_by_repetition(x: Any, left: Any, right: Any, reflect: bool) -> Any:
    """Without zeros in front of the reflection: what is missing repeats the last sample."""
    missing = max(left, right) - x.shape[-1] + 1
    if not reflect or missing <= 0:
        return _pad1d(x, left, right, reflect)
    x = tf.concat([x, tf.repeat(x[..., -1:], missing, -1)], -1)
    return tf.pad(x, [[0, 0], [0, 0], [left, right - missing]], "REFLECT")


@fault("complex-channels-planar", _PLAIN, "^:complex_as_channels HDemucs$", replaces=_STEP)
@in_step("complex_as_channels")
def planar_channels(z: Any) -> Any:
    """Real parts of all channels, then imaginary parts."""
    return tf.concat([z[..., 0], z[..., 1]], -1)


@fault("channels-complex-planar", _PLAIN, "^:channels_as_complex HDemucs$", replaces=_STEP)
@in_step("channels_as_complex")
def planar_sources(m: Any) -> Any:
    real, imag = tf.split(m, 2, -1)
    return tf.stack([real, imag], -1)


# Masks


@fault(
    "mask-without-epsilon",
    "hdemucs-masks",
    "^:mask HDemucs$",
    replaces=(spectrogram, "_phase_times_magnitude"),
)
def mask_without_epsilon(z: Any, m: Any) -> Any:
    phase = z / spectrogram._absolute(z)[..., None]
    return phase[:, :, :, None] * m[..., None]


fault("wiener-residual-kept-out", _RESIDUAL, "^:wiener_residual HDemucs$", replaces=_STEP)(
    in_step("wiener_residual")(lambda mixture, sources: sources)
)
fault(
    "wiener-silence-unmarked",
    _RESIDUAL,
    "^ HDemucs$",
    replaces=(spectrogram, "mark_silence"),
    in_pass="^:wiener_residual HDemucs$",
)(tf.identity)
fault(
    "wiener-exact-pi",
    "hdemucs-wiener0",
    "^:wiener_initial HDemucs$",
    replaces=(wiener, "_PI"),
    beyond_float32=True,
)(math.pi)
fault(
    "wiener-exact-epsilon",
    "hdemucs-wiener1",
    "^:wiener_maximization HDemucs$",
    replaces=(wiener, "_EPSILON"),
    beyond_float32=True,
)(1e-10)
fault(
    "wiener-unscaled", "hdemucs-wiener-loud", "^:wiener_scale HDemucs$", replaces=(wiener, "_SCALE")
)(1e9)
