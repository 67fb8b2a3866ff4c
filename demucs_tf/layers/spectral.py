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

from demucs_tf.layers.float32_math import cos
from demucs_tf.layers.shape import pad_axis, size

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
    x = tf.pad(x, [[0, 0], [0, 0], [half, half]], "REFLECT")
    window = tf.constant(hann_window(n_fft), x.dtype)
    frames = _frame(x, n_fft, hop_length) * window
    spectra = _rfft(frames) if transform == "fft" else _real_dft(frames)
    scale = tf.constant(n_fft**-0.5, x.dtype)
    return tf.transpose(spectra * scale, [0, 3, 2, 1, 4])  # from (B, A, T', F, 2)


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
    spectra = tf.transpose(z, [0, 3, 2, 1, 4])  # (B, C, T', F, 2)
    frames = _irfft(spectra, n_fft) if transform == "fft" else _real_idft(spectra, n_fft)
    window = tf.constant(hann_window(n_fft), z.dtype)
    frames *= window * tf.constant(n_fft**0.5, z.dtype)
    squares = tf.broadcast_to(tf.square(window), [1, 1, size(z, 2), n_fft])
    start = n_fft // 2
    signal = _overlap_add(frames, hop_length)[..., start : start + length]
    return signal / _overlap_add(squares, hop_length)[..., start : start + length]


def _frame(x: Any, width: int, hop: int) -> Any:
    """Cut time into frames: (B, A, T) -> (B, A, 1 + (T - width) // hop, width)."""
    blocks_per_frame = width // hop
    shape = tf.shape(x)
    count = size(x, -1) // hop
    blocks = tf.reshape(x[..., : count * hop], [shape[0], x.shape[1], count, hop])
    last = count - blocks_per_frame + 1
    return tf.concat([blocks[:, :, i : i + last] for i in range(blocks_per_frame)], -1)


def _overlap_add(frames: Any, hop: int) -> Any:
    """Add frames where they overlap: (B, C, T', width) -> (B, C, (T' - 1) hop + width)."""
    blocks_per_frame = frames.shape[-1] // hop
    parts = tf.split(frames, blocks_per_frame, -1)
    total = tf.add_n(
        [pad_axis(part, i, blocks_per_frame - 1 - i, axis=2) for i, part in enumerate(parts)]
    )
    shape = tf.shape(total)
    return tf.reshape(total, [shape[0], frames.shape[1], shape[2] * hop])


def _rfft(frames: Any) -> Any:
    """Transform real numbers: (..., N) -> (..., N / 2 + 1, 2)."""
    spectra = tf.signal.rfft(frames)
    return tf.stack([tf.math.real(spectra), tf.math.imag(spectra)], -1)


def _irfft(spectra: Any, n_fft: int) -> Any:
    """Transform back to real numbers: (..., N / 2 + 1, 2) -> (..., N)."""
    return tf.signal.irfft(tf.complex(spectra[..., 0], spectra[..., 1]), [n_fft])


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
    return tf.constant(np.cos(angles), dtype), tf.constant(np.sin(angles), dtype)


def _real_dft(frames: Any) -> Any:
    """Transform by matrix products: (B, A, T, N) -> (B, A, T, N / 2 + 1, 2)."""
    n = frames.shape[-1]
    p, q = _factors(n)
    x = tf.reshape(frames, [-1, p, q])
    c, s = _waves(p, p, p, x.dtype)
    real, imag = tf.einsum("bpq,pi->bqi", x, c), -tf.einsum("bpq,pi->bqi", x, s)
    c, s = _waves(q, p, n, x.dtype)
    real, imag = real * c + imag * s, imag * c - real * s
    c, s = _waves(q, q // 2 + 1, q, x.dtype)  # k <= N / 2 is enough
    both = tf.stack([_product(real, c) + _product(imag, s), _product(imag, c) - _product(real, s)])
    spectra = tf.reshape(both, [2, *_leading(frames), (q // 2 + 1) * p])
    return tf.transpose(spectra[..., : n // 2 + 1], [1, 2, 3, 4, 0])


def _product(x: Any, waves: Any) -> Any:
    return tf.einsum("bqi,qj->bji", x, waves)


def _real_idft(spectra: Any, n: int) -> Any:
    """Transform back by matrix products: (B, C, T, N / 2 + 1, 2) -> (B, C, T, N)."""
    p, q = _factors(n)
    # Each k but the first and the last stands for its mirror image as well.
    weight = np.full(n // 2 + 1, 2 / n)
    weight[[0, -1]] = 1 / n
    x = spectra * tf.constant(weight[:, None], spectra.dtype)
    x = pad_axis(x, 0, (q // 2 + 1) * p - (n // 2 + 1), axis=3)
    x = tf.reshape(x, [-1, q // 2 + 1, p, 2])
    real, imag = x[..., 0], x[..., 1]
    c, s = _waves(q // 2 + 1, q, q, x.dtype)
    real, imag = (
        tf.einsum("bji,jq->bqi", real, c) - tf.einsum("bji,jq->bqi", imag, s),
        tf.einsum("bji,jq->bqi", imag, c) + tf.einsum("bji,jq->bqi", real, s),
    )
    c, s = _waves(q, p, n, x.dtype)
    real, imag = real * c - imag * s, imag * c + real * s
    c, s = _waves(p, p, p, x.dtype)
    y = tf.einsum("bqi,ip->bpq", real, c) - tf.einsum("bqi,ip->bpq", imag, s)
    return tf.reshape(y, [*_leading(spectra), n])


def _leading(x: Any) -> list[Any]:
    return [size(x, axis) for axis in range(3)]
