"""The Fourier transform by products, of lengths that no model has, against NumPy's."""

from __future__ import annotations

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
