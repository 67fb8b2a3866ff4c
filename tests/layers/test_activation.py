"""The approximate GELU, which no Demucs model has."""

from __future__ import annotations

import numpy as np

from demucs_tf.layers.activation import GELU


def test_approximate_gelu() -> None:
    """Hendrycks and Gimpel, Gaussian Error Linear Units, section 2."""
    x = np.linspace(-4, 4, 33)
    wanted = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    found = np.asarray(GELU(approximate=True, dtype="float64")(x))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-14)
    assert np.abs(np.asarray(GELU(approximate=False, dtype="float64")(x)) - wanted).max() > 1e-5
