"""Initial weights, for training from scratch; a checkpoint overwrites them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import named_layers
from demucs_tf.layers.conv import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d


def rescale_convolutions(root: Any, reference: float) -> None:
    """Divide every convolution's weights by sqrt(std / reference), std being unbiased.

    Reference: demucs/demucs.py::rescale_module
    """
    for _, layer in named_layers(root):
        if isinstance(layer, (Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d)):
            weight = tf.convert_to_tensor(layer.weight)
            count = tf.cast(tf.size(weight), weight.dtype)
            std = tf.math.reduce_std(weight) * tf.sqrt(count / (count - 1))
            scale = tf.sqrt(std / reference)
            layer.weight.assign(weight / scale)
            layer.bias.assign(layer.bias / scale)
