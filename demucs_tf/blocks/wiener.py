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


# Complex numbers are pairs of tensors, the real and the imaginary part.
Complex = tuple[Any, Any]


def _maximize(sources: Any, mixture: Any) -> Any:
    """Estimate new covariances from the sources, and new sources from the covariances.

    Reference: demucs/wiener.py::expectation_maximization
    """
    channels = range(mixture.shape[2])
    estimates = [(sources[:, :, a, 0], sources[:, :, a, 1]) for a in channels]
    mixed = [(mixture[:, :, a, :1], mixture[:, :, a, 1:]) for a in channels]
    return tf.stack([tf.stack(pair, 2) for pair in maximized(estimates, mixed)], 2)


def maximized(sources: list[Complex], mixture: list[Complex]) -> list[Complex]:
    """Do the same channel by channel: (..., T, F, S) and (..., T, F, 1) for each of one or two."""
    channels = range(len(sources))
    energy = sum(tf.square(real) + tf.square(imag) for real, imag in sources)
    power = energy / len(sources)  # (..., T, F, S)
    weight = tf.constant(_EPSILON, power.dtype) + tf.reduce_sum(power, -3, keepdims=True)

    def covariance(a: Complex, b: Complex) -> Complex:
        """Spatial: the sum over time of y y^H over the weight, (..., 1, F, S)."""
        real, imag = a[0] * b[0] + a[1] * b[1], a[1] * b[0] - a[0] * b[1]
        real, imag = (tf.reduce_sum(part, -3, keepdims=True) for part in (real, imag))
        return real / weight, imag / weight

    spatial = [[covariance(a, b) for b in sources] for a in sources]
    floor = tf.constant(np.sqrt(_EPSILON), power.dtype)

    def covered(a: int, b: int) -> Complex:
        """The covariance of the mixture, (..., T, F, 1); `floor` is the least."""
        real, imag = (tf.reduce_sum(power * part, -1, keepdims=True) for part in spatial[a][b])
        return (floor + real if a == b else real), imag

    inverse = _invert([[covered(a, b) for b in channels] for a in channels])

    def estimate(a: int) -> Complex:
        total: Any = None
        for b in channels:
            gain = _added([_times(spatial[a][k], inverse[k][b]) for k in channels])
            term = _times((gain[0] * power, gain[1] * power), mixture[b])
            total = term if total is None else _added([total, term])
        return total

    return [estimate(a) for a in channels]


def _times(a: Complex, b: Complex) -> Complex:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _added(terms: list[Complex]) -> Complex:
    first, *rest = terms
    return sum((t[0] for t in rest), first[0]), sum((t[1] for t in rest), first[1])


def _invert(matrix: list[list[Complex]]) -> list[list[Complex]]:
    """Invert matrices of 1 x 1 or 2 x 2."""
    if len(matrix) == 1:
        return [[_reciprocal(matrix[0][0])]]
    (a, b), (c, d) = matrix
    main, anti = _times(a, d), _times(b, c)
    factor = _reciprocal((main[0] - anti[0], main[1] - anti[1]))
    minus = -factor[0], -factor[1]
    return [[_times(factor, d), _times(minus, b)], [_times(minus, c), _times(factor, a)]]


def _reciprocal(z: Complex) -> Complex:
    energy = tf.square(z[0]) + tf.square(z[1])
    return z[0] / energy, -z[1] / energy


def portable_wiener(
    targets: list[Any], mixture: list[Complex], iterations: int, residual: bool
) -> list[Complex]:
    """Do what `wiener` does, in operations that every runtime has.

    Args:
        targets: for each channel magnitudes (W, T, F, S), windows of one or more mixtures.
        mixture: for each channel (W, T, F, 1), without silent bins but those that fill a window.
        iterations, residual: see `wiener`.

    Returns:
        For each channel (W, T, F, S), with `residual` S + 1.
    """
    sources = []
    for magnitudes, (real, imag) in zip(targets, mixture, strict=True):
        length = tf.sqrt(tf.square(real) + tf.square(imag) + silence(real, imag))
        sources.append((magnitudes * (real / length), magnitudes * (imag / length)))
    if residual:
        sources = [
            _with_rest(estimate, whole) for estimate, whole in zip(sources, mixture, strict=True)
        ]
    if iterations == 0:
        return sources
    scale = _portable_loudness(mixture)
    mixture = [(real / scale, imag / scale) for real, imag in mixture]
    sources = [(real / scale, imag / scale) for real, imag in sources]
    for _ in range(iterations):
        sources = maximized(sources, mixture)
    return [(real * scale, imag * scale) for real, imag in sources]


def silence(real: Any, imag: Any) -> Any:
    """1 where both parts are zero, otherwise 0."""
    energy = tf.square(real) + tf.square(imag)
    return tf.nn.relu(1 - energy / np.finfo(np.float32).tiny)


def _with_rest(estimate: Complex, whole: Complex) -> Complex:
    real, imag = (
        tf.concat([part, total - tf.reduce_sum(part, -1, keepdims=True)], -1)
        for part, total in zip(estimate, whole, strict=True)
    )
    return real, imag


def _portable_loudness(mixture: list[Complex]) -> Any:
    """As `_loudness`, for each window: (W, 1, 1, 1)."""
    power = tf.concat([tf.square(real) + tf.square(imag) for real, imag in mixture], -1)
    largest = tf.reduce_max(power, [1, 2, 3], keepdims=True)
    return tf.maximum(tf.ones_like(largest), tf.sqrt(largest) / _SCALE)
