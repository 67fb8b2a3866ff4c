"""Short-time Fourier transform and its inverse, padded, framed, scaled and trimmed as in torch.

Spectrograms are real: the last axis holds the real and the imaginary part. Two transforms do the
same: "fft" is TensorFlow's own; "dft" has no complex numbers and is made of matrix products, for
runtimes that lack the former.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from demucs_tf.layers.base import is_portable
from demucs_tf.layers.float32_math import cos
from demucs_tf.layers.linear import product
from demucs_tf.layers.shape import lengths, pad_axis, reshape, size

Transform = Literal["fft", "dft"]
TRANSFORMS = ("fft", "dft")


@lru_cache(maxsize=8)
def hann_window(length: int) -> npt.NDArray[np.float32]:
    """Make the periodic Hann window, (length). Read-only.

    QUIRK demucs/spec.py:20: it is made in float32, and only then cast to the type of the audio.

    Reference: torch.hann_window
    """
    angles = np.arange(length, dtype=np.float32) * np.float32(2 * math.pi / length)
    window = cos(angles) * np.float32(-0.5) + np.float32(0.5)
    window.flags.writeable = False
    return window


def spectro(x: Any, n_fft: int, hop_length: int, transform: Transform = "fft") -> Any:
    """Take windowed spectra every `hop_length` samples, centred: the ends are reflected.

    Args:
        x: (B, A, T), T > n_fft / 2.
        n_fft: length of the window, a multiple of `hop_length`.
        hop_length: samples from one spectrum to the next.
        transform: "fft" or "dft", see the module.

    Returns:
        (B, n_fft / 2 + 1, 1 + T // hop_length, A, 2), divided by sqrt(n_fft).

    Raises:
        ValueError: x is too short to be reflected (only where its length is known).

    Reference: demucs/spec.py::spectro
    """
    length, half = size(x, -1), n_fft // 2
    if isinstance(length, int) and length <= half:
        raise ValueError(f"A window of {n_fft} needs more than {half} samples, got {length}.")
    return spectra_of(
        tf.pad(x, [[0, 0], [0, 0], [half, half]], "REFLECT"), n_fft, hop_length, transform
    )


def spectra_of(x: Any, n_fft: int, hop_length: int, transform: Transform = "fft") -> Any:
    """As `spectro`, of a signal that has its surroundings already: (B, A, T), T >= n_fft.

    Returns:
        (B, n_fft / 2 + 1, 1 + (T - n_fft) // hop_length, A, 2).
    """
    window = tf.constant(hann_window(n_fft), x.dtype)
    frames = _frame(x, n_fft, hop_length) * window  # (B, T', A, n_fft)
    spectra = _real_dft(frames) if _real(transform) else _rfft(frames)  # (B, T', 2 A, F)
    scale = tf.constant(n_fft**-0.5, x.dtype)
    spectra = tf.transpose(spectra * scale, [0, 3, 1, 2])
    return reshape(spectra, [*lengths(spectra)[:3], x.shape[1], 2])


def ispectro(z: Any, hop_length: int, length: Any, transform: Transform = "fft") -> Any:
    """Make a signal of spectra: overlapping windows, divided by the sum of their squares.

    Args:
        z: (B, n_fft / 2 + 1, T', C, 2), any channels C.
        hop_length: samples from one spectrum to the next; n_fft is a multiple of it.
        length: samples to return.
        transform: "fft" or "dft", see the module.

    Returns:
        (B, C, length).

    Reference: demucs/spec.py::ispectro
    """
    n_fft = 2 * z.shape[1] - 2
    channels = z.shape[3]
    spectra = reshape(z, [*lengths(z)[:3], 2 * channels])
    spectra = tf.transpose(spectra, [0, 2, 3, 1])  # (B, T', 2 C, F)
    frames = _real_idft(spectra, n_fft) if _real(transform) else _irfft(spectra, n_fft)
    window = tf.constant(hann_window(n_fft), z.dtype)
    frames *= window * tf.constant(n_fft**0.5, z.dtype)  # (B, T', C, n_fft)
    blocks = _overlap_add(frames, hop_length)  # (B, N, C, hop)
    blocks = _divide(blocks, hann_window(n_fft).reshape(-1, hop_length), size(z, 2))
    signal = tf.transpose(blocks, [0, 2, 1, 3])
    shape = [*lengths(signal)[:1], channels, size(signal, 2) * hop_length]
    signal = reshape(signal, shape)
    start = n_fft // 2
    return signal[..., start : start + length]


def _real(transform: Transform) -> bool:
    return transform == "dft" or is_portable()


def _frame(x: Any, width: int, hop: int) -> Any:
    """Cut time into frames: (B, A, T) -> (B, 1 + (T - width) // hop, A, width)."""
    blocks_per_frame = width // hop
    count = size(x, -1) // hop
    blocks = reshape(x[..., : count * hop], [*lengths(x)[:2], count, hop])
    blocks = tf.transpose(blocks, [0, 2, 1, 3])
    last = count - blocks_per_frame + 1
    return tf.concat([blocks[:, i : i + last] for i in range(blocks_per_frame)], -1)


def _overlap_add(frames: Any, hop: int) -> Any:
    """Add frames where they overlap: (B, T', C, width) -> (B, T' - 1 + width / hop, C, hop)."""
    count = frames.shape[-1] // hop
    parts = [frames[..., i * hop : (i + 1) * hop] for i in range(count)]
    first, *rest = [pad_axis(part, i, count - 1 - i, axis=1) for i, part in enumerate(parts)]
    return sum(rest, first)


def _divide(blocks: Any, window: npt.NDArray[np.float32], frames: Any) -> Any:
    """Divide (B, N, C, hop) by the sum of the squares of all windows that cover a sample.

    It is the same for all blocks but the first and last ones, which fewer windows cover.

    Args:
        window: (width / hop, hop).
        frames: how many there are.
    """
    squares = tf.square(tf.constant(window, blocks.dtype))
    count = len(window)
    if not isinstance(frames, int) or frames < count:
        ones = reshape(squares, [1, 1, 1, -1]) * tf.ones([1, frames, 1, 1], blocks.dtype)
        return blocks / _not_zero(_overlap_add(ones, window.shape[1]))
    rising = _not_zero(tf.cumsum(squares)[:, None])  # (width / hop, 1, hop)
    falling = tf.cumsum(squares, reverse=True)[1:, None]
    parts = [blocks[:, : count - 1] / rising[:-1], blocks[:, count - 1 : frames] / rising[-1:]]
    return tf.concat([*parts, blocks[:, frames:] / falling], 1)


def _not_zero(sums: Any) -> Any:
    """One in place of zero: no result is divided by that, but a gradient would not be a number."""
    return tf.where(tf.equal(sums, 0), tf.ones_like(sums), sums)


def _rfft(frames: Any) -> Any:
    """Transform real numbers: (B, T', A, N) -> (B, T', 2 A, N / 2 + 1)."""
    spectra = tf.signal.rfft(frames)
    both = tf.stack([tf.math.real(spectra), tf.math.imag(spectra)], 3)
    return reshape(both, [*lengths(frames)[:2], 2 * frames.shape[2], both.shape[-1]])


def _irfft(spectra: Any, n_fft: int) -> Any:
    """Transform back to real numbers: (B, T', 2 C, N / 2 + 1) -> (B, T', C, N)."""
    shape = [*lengths(spectra)[:2], spectra.shape[2] // 2, 2, spectra.shape[3]]
    real, imag = tf.unstack(reshape(spectra, shape), axis=3)  # faster than every other row
    # A real signal's first and last frequency are real. What a model gives for the other part is
    # left out on a processor, here as in PyTorch; on a GPU cuFFT may hear it, at -50 dB.
    inner = np.ones(n_fft // 2 + 1, spectra.dtype.as_numpy_dtype)
    inner[[0, -1]] = 0
    return tf.signal.irfft(tf.complex(real, imag * inner), [n_fft])


# The real-valued transform. With N = P Q, n = Q p + q and k = i + P j, the sum over n splits into a
# transform over p, a factor for each (i, q), and a transform over q.


@lru_cache(maxsize=8)
def _factors(n: int) -> tuple[int, int]:
    """Split N = P Q, as close to a square as can be, Q even."""
    divisors = [q for q in range(2, n + 1, 2) if n % q == 0]
    q = min(divisors, key=lambda q: abs(math.log(q * q / n)))
    return n // q, q


def _waves(rows: int, columns: int, period: int, dtype: Any) -> tuple[Any, Any]:
    """Tabulate cosine and sine of 2 pi row column / period, (rows, columns)."""
    turns = np.outer(np.arange(rows), np.arange(columns)) % period / period
    angles = 2 * np.pi * turns
    return np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)


def _real_dft(frames: Any) -> Any:
    """Transform by matrix products: (B, T', A, N) -> (B, T', 2 A, N / 2 + 1)."""
    n, dtype = frames.shape[-1], frames.dtype.as_numpy_dtype
    p, q = _factors(n)
    x = tf.transpose(reshape(frames, [-1, p, q]), [0, 2, 1])
    c, s = _waves(p, p, p, dtype)
    x = product(x, np.concatenate([c, -s], 1))  # (M, Q, 2 P): over p, real and imaginary part
    real, imag = x[..., :p], x[..., p:]
    c, s = _waves(q, p, n, dtype)
    x = tf.concat([real * c + imag * s, imag * c - real * s], 1)  # (M, 2 Q, P)
    c, s = _waves(q, q // 2 + 1, q, dtype)  # k <= N / 2 is enough
    x = product(tf.transpose(x, [0, 2, 1]), np.block([[c, -s], [s, c]]))  # (M, P, 2 J): over q
    x = tf.transpose(reshape(x, [-1, p, 2, q // 2 + 1]), [0, 2, 3, 1])  # (M, 2, J, P)
    x = reshape(x, [-1, 2, (q // 2 + 1) * p])[..., : n // 2 + 1]
    return reshape(x, [*lengths(frames)[:2], 2 * frames.shape[2], n // 2 + 1])


def _real_idft(spectra: Any, n: int) -> Any:
    """Transform back by matrix products: (B, T', 2 C, N / 2 + 1) -> (B, T', C, N)."""
    dtype = spectra.dtype.as_numpy_dtype
    p, q = _factors(n)
    # Each k but the first and the last stands for its mirror image as well.
    weight = np.full(n // 2 + 1, 2 / n)
    weight[[0, -1]] = 1 / n
    x = pad_axis(spectra * weight.astype(dtype), 0, (q // 2 + 1) * p - (n // 2 + 1), axis=3)
    x = tf.transpose(reshape(x, [-1, 2, q // 2 + 1, p]), [0, 3, 1, 2])
    x = reshape(x, [-1, p, 2 * (q // 2 + 1)])  # (M, P, 2 J)
    c, s = _waves(q // 2 + 1, q, q, dtype)
    x = product(x, np.block([[c, s], [-s, c]]))  # (M, P, 2 Q)
    real, imag = x[..., :q], x[..., q:]
    c, s = _waves(p, q, n, dtype)
    x = tf.concat([real * c - imag * s, imag * c + real * s], 1)  # (M, 2 P, Q)
    c, s = _waves(p, p, p, dtype)
    x = product(tf.transpose(x, [0, 2, 1]), np.concatenate([c, -s]))  # (M, Q, P)
    x = tf.transpose(x, [0, 2, 1])
    return reshape(x, [*lengths(spectra)[:2], spectra.shape[2] // 2, n])
