"""Exact GELU, ReLU and GLU: as layers, and as functions where the reference has no module."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import Layer
from demucs_tf.layers.shape import parts


class GELU(Layer):
    """Gaussian error linear unit, `x * Phi(x)`.

    Args:
        approximate: False for the exact form with erf, which is the reference's; True for tanh.

    Reference: torch.nn.GELU
    """

    def __init__(self, approximate: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approximate = approximate

    def call(self, x: Any) -> Any:
        return _gelu_by_tanh(x) if self.approximate else gelu(x)


class ReLU(Layer):
    """Rectified linear unit, `max(x, 0)`.

    Reference: torch.nn.ReLU
    """

    def call(self, x: Any) -> Any:
        return tf.nn.relu(x)


class GLU(Layer):
    """Gated linear unit over the last axis: the first half times the sigmoid of the second.

    Shape: (..., 2 C) -> (..., C).

    Reference: torch.nn.GLU(dim=1) on channels-first maps
    """

    def call(self, x: Any) -> Any:
        return glu(x)


def gelu(x: Any) -> Any:
    """Compute the exact GELU.

    Reference: torch.nn.functional.gelu
    """
    # Not tf.nn.gelu: it rounds sqrt(2) to float32 even for float64 input.
    return 0.5 * x * (1 + tf.math.erf(x * math.sqrt(0.5)))


def _gelu_by_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def glu(x: Any) -> Any:
    """Halve the last axis: its first half times the sigmoid of its second.

    Reference: torch.nn.functional.glu
    """
    ahead, gate = parts(x, 2)
    return ahead * tf.sigmoid(gate)
