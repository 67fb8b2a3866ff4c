"""Large products, which is as fast as a machine can compute: the limit that others are held to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.timing import Job, Run
from parity.core.compare import Array

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.kinds import Place


def job(case: Case, place: Place) -> Job:
    """Two square matrices of float32."""
    size = case.options["size"]
    generator = np.random.default_rng(0)
    a, b = (generator.uniform(-1, 1, (size, size)).astype(np.float32) for _ in range(2))
    sides: dict[str, Callable[[Array, Array], Run]] = {"graph": _tensorflow, "torch": _torch}
    return Job(
        ways={way: partial(sides[way], a, b) for way in case.ways},
        against=case.against,
        flop=2.0 * size**3,
    )


def _tensorflow(a: Array, b: Array) -> Run:
    import tensorflow as tf

    product = tf.function(tf.matmul, autograph=False)
    x, y = tf.constant(a), tf.constant(b)
    return lambda: product(x, y).numpy()


def _torch(a: Array, b: Array) -> Run:
    import torch

    x, y = torch.from_numpy(a), torch.from_numpy(b)
    return lambda: (x @ y).numpy()
