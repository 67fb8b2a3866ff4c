"""A learnt factor for each channel of a residual branch."""

from __future__ import annotations

from typing import Any

from demucs_tf.layers.base import Layer
from demucs_tf.layers.linear import scaled


class LayerScale(Layer):
    """A learnt factor for each channel, small at the start of training.

    Variables: scale (C).
    Shape: (..., C) -> (..., C).

    Reference: demucs/transformer.py::LayerScale
    """

    def __init__(self, channels: int, init: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = self.variable("scale", (channels,), init)

    def call(self, x: Any) -> Any:
        return scaled(x, self.scale)
