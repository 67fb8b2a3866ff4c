"""Weights of order 1, drawn by name, so that every branch is heard.

A fresh reference starts its residual branches at a factor of 1e-4 and its norms at the identity,
which hides errors in both.
"""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SEED = 2026  # of Python's `random`


def seeded_state(shapes: Iterable[tuple[str, Sequence[int]]], seed: int) -> dict[str, Array]:
    """Draw a float32 array for each (key, shape) of the reference's `state_dict`.

    Each key has a random stream of its own, so that neither order nor other keys matter.
    """
    return {key: _draw(key, tuple(shape), seed) for key, shape in shapes}


def _draw(key: str, shape: tuple[int, ...], seed: int) -> Array:
    random = np.random.RandomState((zlib.crc32(key.encode()) + 7919 * seed) % 2**32)
    if key.endswith(".scale"):  # LayerScale
        values = random.uniform(0.2, 1.0, shape)
    elif len(shape) == 1 and key.endswith(("weight", "running_var")):  # a norm
        values = random.uniform(0.5, 1.5, shape)
    elif len(shape) == 1:
        values = random.uniform(-0.5, 0.5, shape)
    else:  # keeps the variance of what it is multiplied with
        values = random.uniform(-1, 1, shape) * np.sqrt(3 / np.prod(shape[1:]))
    return values.astype(np.float32)


def seed_module(module: Any, seed: int) -> None:
    """Give a live reference module the weights that `seeded_state` draws.

    Whole numbers among its buffers stay as they are: they count or measure something.
    """
    import torch

    state = module.state_dict()
    drawn = seeded_state(
        ((key, value.shape) for key, value in state.items() if value.is_floating_point()), seed
    )
    state.update({key: torch.from_numpy(value) for key, value in drawn.items()})
    module.load_state_dict(state)


def state_hash(state: Mapping[str, Array]) -> str:
    """SHA-256 over keys, shapes and values."""
    digest = hashlib.sha256()
    for key in sorted(state):
        array = np.ascontiguousarray(state[key], dtype=np.float32)
        digest.update(f"{key}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


@contextmanager
def seeded_random() -> Iterator[None]:
    """Python's `random` from a fixed state, and as it was afterwards.

    Transformer models draw a shift of their positions in every pass.
    """
    before = random.getstate()
    random.seed(SEED)
    try:
        yield
    finally:
        random.setstate(before)
