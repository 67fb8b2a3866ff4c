"""From the waveform to a spectrogram, what a model makes of it, and back: all without weights.

Shapes: B batch, S source, A audio channel, F frequency, T' frame; the last axis of 2 holds the real
and the imaginary part.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from demucs_tf.blocks.wiener import mark_silence, portable_wiener, silence, wiener
from demucs_tf.layers.base import Observable, is_portable
from demucs_tf.layers.shape import ceil_div, lengths, pad_axis, reshape, size, told
from demucs_tf.layers.spectral import Transform, ispectro, spectra_of, spectro

# Frames that the Wiener filter sees at a time.
_WIENER_WINDOW = 300


class Spectrogram(Observable):
    """Mixin of hybrid models: the methods that the reference has under these names.

    Reference: demucs/hdemucs.py::HDemucs._spec, _ispec, _magnitude, _mask, _wiener
    """

    sources: list[str]
    audio_channels: int
    nfft: int
    hop_length: int
    hybrid: bool
    hybrid_old: bool
    cac: bool
    wiener_residual: bool
    transform: Transform

    def _spec(self, x: Any) -> Any:
        """(B, A, T) -> (B, nfft / 2, T', A, 2); hybrid models have T' = ceil(T / hop)."""
        hop, length = self.hop_length, size(x, -1)
        if self.hybrid:
            frames = ceil_div(length, hop)
            left, reflect = hop // 2 * 3, not self.hybrid_old
            right = left + frames * hop - length
            x = self.step("spec_pad", lambda x: pad1d(x, left, right, reflect), x)  # (B, A, T'')

        def transform(x: Any) -> Any:
            # With `hybrid` the reference drops the frames that see the reflected ends.
            spectra = spectra_of if self.hybrid else spectro
            z = spectra(x, self.nfft, hop, self.transform)
            flat = reshape(z, [*lengths(z)[:3], 2 * z.shape[3]])[:, :-1]  # without the last
            return reshape(flat, [*lengths(flat)[:3], z.shape[3], 2])

        return self.step("stft", transform, x)  # (B, F, T', A, 2)

    def _ispec(self, z: Any, length: Any) -> Any:
        """(B, F, T', S, A, 2) -> (B, S, A, T)."""
        hop = self.hop_length
        margin = 2 if self.hybrid else 0

        def pad(z: Any) -> Any:
            flat = reshape(z, [*lengths(z)[:3], math.prod(z.shape[3:])])
            flat = tf.pad(flat, [[0, 0], [0, 1], [margin, margin], [0, 0]])
            return reshape(flat, [*lengths(flat)[:3], *z.shape[3:]])

        z = self.step("ispec_pad", pad, z)  # (B, F + 1, T' or T' + 4, S, A, 2)
        start, whole = 0, length
        if self.hybrid:
            start = 0 if self.hybrid_old else hop // 2 * 3
            whole = hop * ceil_div(length, hop) + 2 * start

        def inverse(z: Any) -> Any:
            z_ = reshape(z, [*lengths(z)[:3], z.shape[3] * z.shape[4], 2])
            x = ispectro(z_, hop, whole, self.transform)  # (B, S A, T)
            return reshape(x, [*lengths(x)[:1], z.shape[3], z.shape[4], size(x, 2)])

        x = self.step("istft", inverse, z)  # (B, S, A, T)
        if not self.hybrid:
            return x
        return self.step("ispec_crop", lambda x: x[..., start : start + length], x)

    def _magnitude(self, z: Any) -> Any:
        """(B, F, T, A, 2) -> (B, F, T, 2 A) with `cac`, otherwise (B, F, T, A)."""
        if not self.cac:
            return self.step("magnitude", _magnitudes, z)
        shape = [*lengths(z)[:3], 2 * self.audio_channels]
        return self.step("complex_as_channels", lambda z: reshape(z, shape), z)

    def _mask(self, z: Any, m: Any, iterations: int) -> Any:
        """Spectrograms of the sources: (B, F, T, A, 2), (B, F, T, S, C) -> (B, F, T, S, A, 2)."""
        if self.cac:
            shape = [*lengths(m)[:4], self.audio_channels, 2]
            return self.step("channels_as_complex", lambda m: reshape(m, shape), m)
        if iterations < 0:
            return self.step("mask", _phase_times_magnitude, z, m)
        return self._wiener(m, z, iterations)

    def _wiener(self, magnitudes: Any, z: Any, iterations: int) -> Any:
        """The Wiener filter on windows of 300 frames."""
        if is_portable():
            return self._portable_wiener(magnitudes, z, iterations)
        targets = self.step(  # (B, T, F, A, S)
            "wiener_targets", lambda m: tf.transpose(m, [0, 2, 1, 4, 3]), magnitudes
        )
        mixture = self.step("wiener_mixture", lambda z: tf.transpose(z, [0, 2, 1, 3, 4]), z)
        mixture = mark_silence(mixture)  # (B, T, F, A, 2)
        batch, frames = size(mixture, 0), size(mixture, 1)
        known = isinstance(batch, int) and isinstance(frames, int)
        if known:
            sources = [
                self._wiener_of_sample(targets[b], mixture[b], frames, iterations)
                for b in range(batch)
            ]
        else:
            sources = [self._wiener_of_any(targets, mixture, iterations)]

        def stack(*sources: Any) -> Any:
            stacked = tf.stack(sources) if known else sources[0]  # (B, T, F, A, S or S + 1, 2)
            stacked = stacked[..., : len(self.sources), :]  # without the residual
            return tf.transpose(stacked, [0, 2, 1, 4, 3, 5])

        return self.step("wiener_stack", stack, *sources)  # (B, F, T, S, A, 2)

    def _wiener_of_sample(self, targets: Any, mixture: Any, frames: int, iterations: int) -> Any:
        """(T, F, A, S), (T, F, A, 2) -> (T, F, A, S or S + 1, 2)."""
        windows = []
        for start in range(0, frames, _WIENER_WINDOW):
            window = slice(start, start + _WIENER_WINDOW)
            windows.append(self._wiener_of_window(targets[window], mixture[window], iterations))
        return self.step("wiener_windows", lambda *windows: tf.concat(windows, 0), *windows)

    def _wiener_of_window(self, targets: Any, mixture: Any, iterations: int) -> Any:
        """(T, F, A, S), (T, F, A, 2) -> (T, F, A, S or S + 1, 2)."""
        sources = wiener(targets, mixture, iterations, self.wiener_residual, self.step)
        return self.step("wiener_turn", lambda y: tf.transpose(y, [0, 1, 2, 4, 3]), sources)

    def _portable_wiener(self, magnitudes: Any, z: Any, iterations: int) -> Any:
        """All windows at once, at four axes; zeros fill the last one."""
        freqs, frames = z.shape[1], size(z, 2)
        sources, channels = magnitudes.shape[3:]
        count = ceil_div(frames, _WIENER_WINDOW)

        def windows(x: Any) -> Any:
            """(B, F, T, C) -> (W, 300, F, C)"""
            filled = pad_axis(x, 0, count * _WIENER_WINDOW - frames, axis=2)
            filled = tf.transpose(filled, [0, 2, 1, 3])
            return reshape(filled, [-1, _WIENER_WINDOW, freqs, x.shape[3]])

        flat = reshape(z, [*lengths(z)[:3], 2 * channels])
        real, imag = flat[..., ::2], flat[..., 1::2]
        real, imag = windows(real + silence(real, imag)), windows(imag)
        targets = windows(reshape(magnitudes, [*lengths(magnitudes)[:3], sources * channels]))
        estimates = portable_wiener(
            [targets[..., a::channels] for a in range(channels)],
            [(real[..., a : a + 1], imag[..., a : a + 1]) for a in range(channels)],
            iterations,
            self.wiener_residual,
        )
        parts = [
            reshape(part[..., :sources], [-1, freqs, sources, 1])  # without the residual
            for pair in estimates
            for part in pair
        ]
        shape = [-1, count * _WIENER_WINDOW, freqs, sources * 2 * channels]
        y = reshape(tf.concat(parts, -1), shape)[:, :frames]
        y = tf.transpose(y, [0, 2, 1, 3])
        return reshape(y, [*lengths(y)[:3], sources, channels, 2])

    def _wiener_of_any(self, targets: Any, mixture: Any, iterations: int) -> Any:
        """The same where the number of items or frames is unknown: zeros fill the last window."""
        batch, frames = tf.shape(mixture)[0], tf.shape(mixture)[1]
        count = ceil_div(frames, _WIENER_WINDOW)

        def windows(x: Any) -> Any:
            padded = pad_axis(x, 0, count * _WIENER_WINDOW - frames, axis=1)
            return reshape(padded, [-1, _WIENER_WINDOW, *x.shape[2:]])

        sources = tf.map_fn(
            lambda pair: self._wiener_of_window(pair[0], pair[1], iterations),
            (windows(targets), windows(mixture)),
            fn_output_signature=mixture.dtype,
        )
        rows = reshape(sources, [batch, count * _WIENER_WINDOW, *sources.shape[2:]])
        return rows[:, :frames]


def _absolute(z: Any) -> Any:
    """Magnitude, (..., 2) -> (...), with a gradient of zero where it is zero."""
    return _root(tf.square(z[..., 0]) + tf.square(z[..., 1]))


def _magnitudes(z: Any) -> Any:
    """As `_absolute`, at four axes: (B, F, T, A, 2) -> (B, F, T, A)."""
    return reshape(_absolute(reshape(z, [-1, *z.shape[3:]])), lengths(z)[:4])


@tf.custom_gradient
def _root(energy: Any) -> Any:
    root = tf.sqrt(energy)

    def gradient(upstream: Any) -> Any:
        silent = tf.equal(root, 0)
        slope = upstream / (2 * tf.where(silent, tf.ones_like(root), root))
        return tf.where(silent, tf.zeros_like(root), slope)

    return root, gradient


def _phase_times_magnitude(z: Any, m: Any) -> Any:
    """(B, F, T, A, 2), (B, F, T, S, A) -> (B, F, T, S, A, 2)."""
    sources, channels = m.shape[3:]
    flat = reshape(z, [-1, 1, channels, 2])
    phase = flat / (1e-8 + _absolute(flat)[..., None])
    y = phase * reshape(m, [-1, sources, channels, 1])
    return reshape(y, [*lengths(m)[:3], sources, channels, 2])


def pad1d(x: Any, left: Any, right: Any, reflect: bool) -> Any:
    """Pad the last axis, by reflection or with zeros.

    An input that is too short to be reflected gets zeros first, on the right as far as they fit.

    Shape: (B, A, T) -> (B, A, left + T + right).

    Reference: demucs/hdemucs.py::pad1d
    """
    if not reflect:
        return pad_axis(x, left, right, axis=-1)
    length = size(x, -1)
    known = all(isinstance(number, int) for number in (left, right, length))
    maximum, minimum = (max, min) if known else (tf.maximum, tf.minimum)
    extra = maximum(maximum(left, right) - length + 1, 0)
    extra_right = minimum(right, extra)
    extra_left = extra - extra_right
    x = pad_axis(x, extra_left, extra_right, axis=-1)
    rest = [left - extra_left, right - extra_right]
    return told(tf.pad(x, [[0, 0], [0, 0], rest], "REFLECT"))
