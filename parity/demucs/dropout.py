"""Draws what Demucs draws in training from the same seeds on both sides.

Dropout has a generator of its own in torch and in TensorFlow; here the masks of both come from one
stream. The shift of positions comes from Python's `random`, the augmentation of "cape" from NumPy's
generator, on both sides. Inside a graph the port draws from TensorFlow, which has no counterpart.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np


class Masks:
    """The masks of one pass, in the order of the calls: zeros, and the factor of what is left."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.count = 0

    def draw(self, shape: Any, rate: float) -> Any:
        """The next one, float64."""
        stream = np.random.RandomState((self._seed, self.count))
        self.count += 1
        return (stream.uniform(size=tuple(shape)) >= rate) / (1 - rate)


@contextmanager
def seeded_draws(seed: int) -> Iterator[None]:
    """Seed all draws of a training pass of either side, and put the generators back."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        with ExitStack() as stack:
            for patch in _patches(Masks(seed)):
                stack.enter_context(patch)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def _patches(masks: Masks) -> list[Any]:
    import keras
    import tensorflow as tf
    import torch
    import torch.nn.functional as F

    def dropped(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        if not training or not p:
            return x
        return x * torch.from_numpy(masks.draw(x.shape, p)).to(x.dtype)

    def attention(q: Any, k: Any, v: Any, mask: Any = None, dropout_p: float = 0.0, *_: Any) -> Any:
        """As torch's, in its steps: the fused one would draw inside."""
        if mask is not None:
            raise NotImplementedError("attention with a mask")
        weights = torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, -1)
        return dropped(weights, dropout_p) @ v

    def ours(x: Any, rate: float, *_: Any, **__: Any) -> Any:
        return x * tf.constant(masks.draw(x.shape, rate), x.dtype)

    return [
        mock.patch.object(F, "dropout", dropped),
        mock.patch.object(F, "scaled_dot_product_attention", attention),
        mock.patch.object(keras.random, "dropout", ours),
    ]
