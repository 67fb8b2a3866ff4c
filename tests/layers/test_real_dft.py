"""The Fourier transform by products, of lengths that no model has, against NumPy's; and what the
inverse is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.layers import spectral


@pytest.mark.parametrize("n", [2, 6, 12, 20, 40, 90, 100, 256])
def test_both_ways(n: int) -> None:
    frames = np.random.default_rng(n).normal(size=(2, 3, 2, n))
    spectra = np.fft.rfft(frames)
    wanted = np.stack([spectra.real, spectra.imag], 3).reshape(2, 3, 4, n // 2 + 1)
    found = np.asarray(spectral._real_dft(tf.constant(frames)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    back = np.asarray(spectral._real_idft(tf.constant(wanted), n))
    np.testing.assert_allclose(back, frames, rtol=0, atol=1e-13)


def test_inverse_is_given_a_spectrum_of_a_real_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuFFT hears imaginary parts of the first and last frequency, which every other leaves out."""
    inverse = tf.signal.irfft
    given = []

    def watched(spectra: Any, lengths: list[int]) -> Any:
        given.append(np.asarray(spectra))
        return inverse(spectra, lengths)

    monkeypatch.setattr(tf.signal, "irfft", watched)
    spectra = np.random.default_rng(0).normal(size=(2, 3, 4, 9)).astype(np.float32)
    found = spectral._irfft(tf.constant(spectra), 16)
    (z,) = given
    np.testing.assert_array_equal(z.imag[..., [0, -1]], 0)
    np.testing.assert_array_equal(z.imag[..., 1:-1], spectra[:, :, 1::2, 1:-1])
    np.testing.assert_array_equal(z.real, spectra[:, :, ::2])
    wanted = np.fft.irfft(spectra[:, :, ::2] + 1j * spectra[:, :, 1::2], 16)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
