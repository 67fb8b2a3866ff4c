"""Multichannel Wiener filtering of source spectrograms, as Open-Unmix does it.

Spectrograms are real: (T, F, A, 2) for the mixture, with the real and the imaginary part on the
last axis, and (T, F, A, 2, S) for the sources. A is 1 or 2.

Reference: demucs/wiener.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

# QUIRK demucs/wiener.py:44,281,300: pi and both epsilons are float32 numbers even in float64.
_PI = np.float32(np.pi)
_EPSILON = np.float32(1e-10)
_SCALE = 10.0


def mark_silence(mixture: Any) -> Any:
    """Set the real part to 1 where both parts are zero.

    QUIRK demucs/wiener.py:45: `atan2` does this in place to keep from dividing zero by zero, and so
    silent bins of the mixture itself become 1 in everything that follows.

    Shape: (..., 2) -> (..., 2).
    """
    real, imag = mixture[..., 0], mixture[..., 1]
    silent = tf.logical_and(tf.equal(real, 0), tf.equal(imag, 0))
    return tf.stack([tf.where(silent, tf.ones_like(real), real), imag], -1)


def wiener(
    targets: Any, mixture: Any, iterations: int, residual: bool, step: Callable[..., Any]
) -> Any:
    """Give magnitudes the phase of the mixture, and refine them by expectation maximization.

    Args:
        targets: magnitudes (T, F, A, S).
        mixture: (T, F, A, 2), without silent bins: see `mark_silence`.
        iterations: of expectation maximization, may be 0.
        residual: add what is left of the mixture as one more source.
        step: runs `step(name, function, *tensors)`, see `demucs_tf.layers.base`.

    Returns:
        (T, F, A, 2, S), with `residual` S + 1.

    Reference: demucs/wiener.py::wiener
    """
    sources = step("wiener_initial", _initial_estimate, mixture, targets)
    if residual:
        sources = step("wiener_residual", _with_residual, mixture, sources)
    if iterations == 0:
        return sources
    scale = step("wiener_scale", _loudness, mixture)
    mixture = step("wiener_scaled_mixture", tf.divide, mixture, scale)
    sources = step("wiener_scaled_sources", tf.divide, sources, scale)

    def refine(sources: Any, mixture: Any) -> Any:
        for _ in range(iterations):
            sources = _maximize(sources, mixture)
        return sources

    sources = step("wiener_maximization", refine, sources, mixture)
    return step("wiener_unscaled_sources", tf.multiply, sources, scale)


def _initial_estimate(mixture: Any, targets: Any) -> Any:
    angle = _atan2(mixture[..., 1], mixture[..., 0])[..., None]
    return tf.stack([targets * tf.cos(angle), targets * tf.sin(angle)], -2)


def _atan2(y: Any, x: Any) -> Any:
    pi = tf.constant(_PI, x.dtype)
    zero = tf.equal(x, 0)
    angle = tf.atan(y / tf.where(zero, tf.ones_like(x), x))
    angle = tf.where(x < 0, angle + tf.where(y >= 0, pi, -pi), angle)
    return tf.where(zero, tf.sign(y) * (pi / 2), angle)


def _with_residual(mixture: Any, sources: Any) -> Any:
    rest = mixture[..., None] - tf.reduce_sum(sources, -1, keepdims=True)
    return tf.concat([sources, rest], -1)


def _loudness(mixture: Any) -> Any:
    """Return what estimates are scaled down by: a tenth of the largest magnitude, at least 1."""
    power = tf.reduce_max(tf.square(mixture[..., 0]) + tf.square(mixture[..., 1]))
    return tf.maximum(tf.ones_like(power), tf.sqrt(power) / tf.constant(_SCALE, power.dtype))


def _regularization(mixture: Any) -> Any:
    """Make the least covariance of a mixture, a multiple of the identity: (1, F, A, A, 2)."""
    bins, channels = mixture.shape[1:3]
    identity = tf.eye(channels, batch_shape=[1, bins], dtype=mixture.dtype)
    parts = tf.stack([identity, tf.zeros_like(identity)], -1)
    return parts * tf.constant(np.sqrt(_EPSILON), mixture.dtype)


def _maximize(sources: Any, mixture: Any) -> Any:
    """Estimate new covariances from the sources, and new sources from the covariances.

    Reference: demucs/wiener.py::expectation_maximization
    """
    floor = _regularization(mixture)
    real, imag = sources[..., 0, :], sources[..., 1, :]  # (T, F, A, S)
    power = tf.reduce_mean(tf.square(real) + tf.square(imag), -2)  # (T, F, S)
    weight = tf.constant(_EPSILON, power.dtype) + tf.reduce_sum(power, 0)
    weight = weight[:, None, None, :]  # (F, 1, 1, S)
    # Spatial covariances, the sum over time of y y^H over the weight: (F, A, A, S).
    row_real, row_imag = real[..., :, None, :], imag[..., :, None, :]
    column_real, column_imag = real[..., None, :, :], imag[..., None, :, :]
    covariance = (
        tf.reduce_sum(row_real * column_real + row_imag * column_imag, 0) / weight,
        tf.reduce_sum(row_imag * column_real - row_real * column_imag, 0) / weight,
    )
    power = power[..., None, None, :]  # (T, F, 1, 1, S)
    mixed = (
        floor[..., 0] + tf.reduce_sum(power * covariance[0], -1),
        floor[..., 1] + tf.reduce_sum(power * covariance[1], -1),
    )
    inverse = _invert(*mixed)  # (T, F, A, A)
    gain = _multiply(covariance, (inverse[0][..., None], inverse[1][..., None]))
    gain = (gain[0] * power, gain[1] * power)  # (T, F, A, A, S)
    x = (mixture[..., None, :, 0, None], mixture[..., None, :, 1, None])  # (T, F, 1, A, 1)
    return tf.stack(
        [
            tf.reduce_sum(gain[0] * x[0] - gain[1] * x[1], -2),
            tf.reduce_sum(gain[0] * x[1] + gain[1] * x[0], -2),
        ],
        -2,
    )


# Complex numbers are pairs of tensors, the real and the imaginary part.
Complex = tuple[Any, Any]


def _multiply(a: Complex, b: Complex) -> Complex:
    """Multiply matrices on the axes (row, column) before the last."""

    def product(x: Any, y: Any) -> Any:
        return sum(x[..., :, k, None, :] * y[..., None, k, :, :] for k in range(x.shape[-2]))

    (ar, ai), (br, bi) = a, b
    return product(ar, br) - product(ai, bi), product(ar, bi) + product(ai, br)


def _invert(real: Any, imag: Any) -> Complex:
    """Invert matrices of 1 x 1 or 2 x 2 on the last two axes."""
    if real.shape[-1] == 1:
        return _reciprocal((real, imag))

    def entry(row: int, column: int) -> Complex:
        return real[..., row, column], imag[..., row, column]

    def times(a: Complex, b: Complex) -> Complex:
        return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]

    main, anti = times(entry(0, 0), entry(1, 1)), times(entry(0, 1), entry(1, 0))
    factor = _reciprocal((main[0] - anti[0], main[1] - anti[1]))
    minus = -factor[0], -factor[1]
    rows = (
        (times(factor, entry(1, 1)), times(minus, entry(0, 1))),
        (times(minus, entry(1, 0)), times(factor, entry(0, 0))),
    )

    def matrix(part: int) -> Any:
        return tf.stack([tf.stack([one[part], two[part]], -1) for one, two in rows], -2)

    return matrix(0), matrix(1)


def _reciprocal(z: Complex) -> Complex:
    energy = tf.square(z[0]) + tf.square(z[1])
    return z[0] / energy, -z[1] / energy
