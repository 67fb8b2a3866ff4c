"""Says in one sentence what a wrong tensor is of the right one.

A wrong sign, a frame too late and a norm's wrong epsilon all read "relative L2 0.3 exceeds 1e-7".
Each relation is fitted; its share is the part of the error's energy that it explains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core.diagnosis.relations import Fit, fits, orders

Array = npt.NDArray[Any]

EXPLAINED = 0.99  # the simplest relation with this share is the answer
HINT = 0.5  # below this share, a relation explains nothing
SOME = 0.05  # below this share, it is not worth a word


@dataclass(frozen=True)
class Fingerprint:
    """What a divergence looks like.

    Attributes:
        kind: the relation's name; "none" where no relation explains half of the error.
        share: the part of the error's energy that it explains, 0 to 1.
        sentence: the same for a person.
    """

    kind: str
    share: float
    sentence: str


def fingerprint(actual: Array, expected: Array, inputs: Sequence[Array] = ()) -> Fingerprint:
    """Say what `actual` is of `expected`, two arrays of numbers of any shape.

    `inputs` are what both were made of, in the axes of `expected`.
    """
    a, e = (np.asarray(x, dtype=np.float64) for x in (actual, expected))
    if a.shape != e.shape:
        return _other_shape(a, e)
    if not (np.isfinite(a).all() and np.isfinite(e).all()):
        counts = [f"{np.count_nonzero(~np.isfinite(x))}" for x in (a, e)]
        words = f"{counts[0]} of {a.size} numbers are NaN or infinite, {counts[1]} should be."
        return Fingerprint("not finite", 1.0, words)
    if not np.any(a != e):
        return Fingerprint("none", 0.0, "There is no difference.")
    best = Fingerprint("none", 0.0, "")
    for group in fits(a, e, inputs):
        for fit in group:
            share = _share(a, e, fit)
            if share > best.share:
                best = Fingerprint(fit.kind, share, _sentence(fit.words, share))
        if best.share >= EXPLAINED:
            break
    if best.share >= HINT:
        return best
    nearest = f" Nearest: {best.sentence}" if best.share > SOME else ""
    return Fingerprint("none", best.share, f"No simple relation explains it.{nearest}")


def _share(a: Array, e: Array, fit: Fit) -> float:
    """The explained part of the energy, less what so many free numbers explain by chance."""
    a, e = a[fit.where], e[fit.where]
    error = float(np.sum((a - e) ** 2))
    if not error or a.size <= fit.parameters:
        return 0.0
    left = float(np.sum((a - fit.predicted) ** 2)) * a.size / (a.size - fit.parameters)
    return max(0.0, 1 - left / error)


def _sentence(words: str, share: float) -> str:
    percent = "all" if share >= 0.9995 else f"{100 * share:.3g} %"
    return f"{words[0].upper()}{words[1:]}: {percent} of the error."


def _other_shape(a: Array, e: Array) -> Fingerprint:
    """Axes in another order, or too many or too few numbers on some."""
    for order in orders(e):
        moved = e.transpose(order)
        if moved.shape == a.shape:
            left = float(np.sum((a - moved) ** 2)) / (float(np.sum(moved**2)) or 1.0)
            if left < 1 - EXPLAINED:
                return Fingerprint("axes", 1 - left, f"The axes are in the order {order}.")
    if a.ndim != e.ndim:
        return Fingerprint("shape", 1.0, f"It has {a.ndim} axes, expected {e.ndim}.")
    pairs = enumerate(zip(a.shape, e.shape, strict=True))
    parts = [
        f"{abs(n - m)} too {'many' if n > m else 'few'} on axis {axis}"
        for axis, (n, m) in pairs
        if n != m
    ]
    return Fingerprint("shape", 1.0, f"It has {' and '.join(parts)}.")
