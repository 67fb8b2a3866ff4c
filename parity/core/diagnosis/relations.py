"""The relations that a wrong tensor may have to the right one, simplest first.

Each is given both arrays, in float64 and of one shape, and yields its best fits; two are
given the inputs as well. `fits` puts them in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FEW = 0.25  # of an axis: an error on more of it than this is not one of some places only
NOTHING = 0.01  # of the error's energy, that all other places of the axis may have together
SHORT = 8  # axes of fewer positions have no edges, and no lag that chance would not give
MANY_SLICES = 512  # are not looked through for a permutation
LARGE = 2**22  # numbers, of which not every order of the axes is tried
KNOTS = 64  # of a curve
SHOWN = 6  # of a list of positions


@dataclass(frozen=True)
class Fit:
    """A fitted relation: what it predicts, with how many free numbers, and the words for it.

    `where` limits it to a part of both arrays, of which `predicted` is all.
    """

    kind: str
    predicted: Array
    parameters: int
    words: str
    where: tuple[slice, ...] = ()


def unchanged(a: Array, e: Array, inputs: Sequence[Array]) -> Iterator[Fit]:
    """An input comes out as it went in."""
    for index, x in enumerate(inputs):
        if x.shape == e.shape:
            yield Fit("input", x, 0, f"input {index} comes out as it went in")


def added(a: Array, e: Array, inputs: Sequence[Array]) -> Iterator[Fit]:
    """An input is missing in a sum, or is in it with another factor."""
    for index, x in enumerate(inputs):
        if x.shape == e.shape:
            factor = _slope(a - e, x, None).item()
            words = f"input {index} is added {number(factor)} times"
            words = f"input {index} is missing in a sum" if abs(factor + 1) < 1e-3 else words
            yield Fit("added input", e + factor * x, 1, words)


def sign(a: Array, e: Array) -> Iterator[Fit]:
    """The other sign, of a complex number (two numbers on the last axis) also of one part."""
    yield Fit("sign", -e, 0, "the sign is the other one")
    if e.ndim and e.shape[-1] == 2:
        yield Fit("conjugate", e * [1, -1], 0, "the imaginary part has the other sign")
        yield Fit("conjugate", e[..., ::-1], 0, "real and imaginary part are swapped")


def gain(a: Array, e: Array) -> Iterator[Fit]:
    """One factor."""
    factor = _slope(a, e, None)
    words = f"a gain of {number(factor.item())}" if np.any(a) else "the output is zero"
    yield Fit("gain", factor * e, 1, words)


def offset(a: Array, e: Array) -> Iterator[Fit]:
    """One added number."""
    constant = float(np.mean(a - e))
    yield Fit("offset", e + constant, 1, f"a constant of {number(constant)} is added")


def gain_and_offset(a: Array, e: Array) -> Iterator[Fit]:
    """Both."""
    factor = _slope(a - a.mean(), e - e.mean(), None).item()
    constant = float(a.mean() - factor * e.mean())
    words = f"a gain of {number(factor)} and a constant of {number(constant)}"
    yield Fit("gain and offset", factor * e + constant, 2, words)


def lag(a: Array, e: Array) -> Iterator[Fit]:
    """The best whole shift along each axis; what was shifted in from outside is left out."""
    for axis, size in enumerate(e.shape):
        if size < SHORT:
            continue
        late = _best_lag(np.moveaxis(a, axis, -1), np.moveaxis(e, axis, -1))
        before = (slice(None),) * axis
        into = slice(max(late, 0), size + min(late, 0))
        out_of = slice(max(-late, 0), size - max(late, 0))
        positions = "1 position" if abs(late) == 1 else f"{abs(late)} positions"
        words = f"it is {positions} too {'late' if late > 0 else 'early'} on axis {axis}"
        shifted = e[before + (out_of,)]  # noqa: RUF005  # Python 3.10
        yield Fit("lag", shifted, 1, words, before + (into,))  # noqa: RUF005


def _best_lag(a: Array, e: Array) -> int:
    size = a.shape[-1]
    spectra = [np.fft.rfft(x.reshape(-1, size), 2 * size) for x in (a, e)]
    correlation = np.fft.irfft(np.sum(spectra[0] * spectra[1].conj(), axis=0), 2 * size)
    lags = np.r_[1 : size // 2 + 1, -(size // 2) : 0]
    return int(lags[np.argmax(correlation[lags])])


def axes(a: Array, e: Array) -> Iterator[Fit]:
    """Another order of the axes, which happens to give the same shape or was reshaped to it."""
    for order in orders(e) if e.size <= LARGE else ():
        moved = e.transpose(order)
        words = f"the axes are in the order {order}"
        words += "" if moved.shape == e.shape else ", reshaped to the right shape"
        yield Fit("axes", moved.reshape(e.shape), 0, words)


def orders(e: Array) -> list[tuple[int, ...]]:
    """The other orders of an array's axes."""
    return list(permutations(range(e.ndim)))[1:] if e.ndim <= 5 else []


def reverse(a: Array, e: Array) -> Iterator[Fit]:
    """One axis backwards."""
    for axis, size in enumerate(e.shape):
        if size > 1:
            yield Fit("reversed", np.flip(e, axis), 0, f"axis {axis} is reversed")


def permutation(a: Array, e: Array) -> Iterator[Fit]:
    """Another order of the slices of one axis: items, channels, positions."""
    for axis, size in enumerate(e.shape):
        if not 2 <= size <= MANY_SLICES or e.size < 4 * size:
            continue
        rows = [np.moveaxis(x, axis, 0).reshape(size, -1) for x in (a, e)]
        rows = [x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-300) for x in rows]
        order = np.argmax(rows[0] @ rows[1].T, axis=1)
        if len(set(order)) == size and not np.array_equal(order, np.arange(size)):
            words = f"axis {axis} is in the order {_list(order)}"
            yield Fit("permutation", np.take(e, order, axis), 0, words)


def places(a: Array, e: Array) -> Iterator[Fit]:
    """Right but for a few positions of an axis, at its ends or elsewhere."""
    for axis, size in enumerate(e.shape):
        energy = np.sum((a - e) ** 2, axis=tuple(i for i in range(e.ndim) if i != axis))
        wrong = np.flatnonzero(energy > NOTHING / size * np.sum(energy))
        if not 0 < len(wrong) <= FEW * size:
            continue
        gaps = np.diff(np.r_[-1, wrong, size]) - 1
        head = int(np.argmax(gaps))  # so many are wrong before the widest gap
        at_ends = size >= SHORT and gaps[head] == size - len(wrong)
        if at_ends:
            tail = len(wrong) - head
            parts = [f"the first {head}"] * (head > 0) + [f"the last {tail}"] * (tail > 0)
            words = f"only {' and '.join(parts)} of {size} on axis {axis} differ"
        else:
            number = "position" if len(wrong) == 1 else "positions"
            words = f"only {number} {_list(wrong)} of {size} on axis {axis} differ"
        predicted = np.moveaxis(e.copy(), axis, 0)
        predicted[wrong] = np.moveaxis(a, axis, 0)[wrong]
        predicted = np.moveaxis(predicted, 0, axis)
        yield Fit("edges" if at_ends else "places", predicted, 0, words)


def epsilon(a: Array, e: Array) -> Iterator[Fit]:
    """A gain of each item, near 1, around a constant of each channel: a norm's other epsilon."""
    if e.ndim < 2 or e[0].size < SHORT:
        return
    for channels in range(1, e.ndim):
        within = tuple(i for i in range(1, e.ndim) if i != channels)
        if not within or e.shape[channels] * SHORT > e[0].size:
            continue
        means = [x.mean(axis=within, keepdims=True) for x in (a, e)]
        everything = tuple(range(1, e.ndim))
        factor = _slope(a - means[0], e - means[1], everything)
        if np.all(np.abs(factor - 1) < 0.5):
            low, high = float(factor.min()), float(factor.max())
            between = f"{number(low)}" if low == high else f"{number(low)} to {number(high)}"
            words = (
                f"a gain of each item ({between}) around a constant of each position on axis "
                f"{channels}, as another epsilon of a norm makes"
            )
            predicted = factor * (e - means[1]) + means[0]
            count = factor.size + means[0].size
            yield Fit("epsilon", predicted, count, words)


def gain_by_slice(a: Array, e: Array) -> Iterator[Fit]:
    """A factor for each position of one axis."""
    for axis, size in enumerate(e.shape):
        if size > 1 and e.size >= SHORT * size:
            others = tuple(i for i in range(e.ndim) if i != axis)
            factor = _slope(a, e, others)
            between = f"{number(float(factor.min()))} to {number(float(factor.max()))}"
            words = f"a gain of each position on axis {axis} ({between})"
            yield Fit("gain by slice", factor * e, size, words)


def offset_by_slice(a: Array, e: Array) -> Iterator[Fit]:
    """An added number for each position of one axis."""
    for axis, size in enumerate(e.shape):
        if size > 1 and e.size >= SHORT * size:
            others = tuple(i for i in range(e.ndim) if i != axis)
            added = np.mean(a - e, axis=others, keepdims=True)
            between = f"{number(float(added.min()))} to {number(float(added.max()))}"
            words = f"a constant is added to each position on axis {axis} ({between})"
            yield Fit("offset by slice", e + added, size, words)


def function(a: Array, e: Array) -> Iterator[Fit]:
    """Each number depends on the expected one alone: a curve of `KNOTS` points."""
    if e.size < SHORT * KNOTS:
        return
    knots = np.unique(np.quantile(e, np.linspace(0, 1, KNOTS + 1)))
    bins = np.clip(np.searchsorted(knots, e.ravel(), side="right") - 1, 0, len(knots) - 2)
    counts = np.maximum(np.bincount(bins, minlength=len(knots) - 1), 1)
    x, y = (np.bincount(bins, z.ravel(), len(knots) - 1) / counts for z in (e, a - e))
    predicted = e + np.interp(e.ravel(), x, y).reshape(e.shape)
    words = "each number depends on the expected one alone, as behind another activation"
    yield Fit("function", predicted, KNOTS, words)


def _slope(a: Array, e: Array, axis: tuple[int, ...] | None) -> Array:
    """The factors of `e` nearest to `a`, 1 where `e` is zero."""
    energy = np.sum(e * e, axis=axis, keepdims=True)
    product = np.sum(a * e, axis=axis, keepdims=True)
    return np.divide(product, energy, out=np.ones_like(energy), where=energy > 0)


def number(value: float) -> str:
    """A number in a sentence; one next to 1 as what it is beside 1."""
    return f"1 {value - 1:+.2g}" if 0 < abs(value - 1) < 1e-3 else f"{value:.4g}"


def _list(numbers: Array) -> str:
    more = ", ..." if len(numbers) > SHOWN else ""
    return ", ".join(map(str, numbers[:SHOWN].tolist())) + more


PLAIN = (sign, gain, offset)
OTHER = (
    reverse, lag, permutation, axes, gain_and_offset, places, gain_by_slice, offset_by_slice,
    epsilon, function,
)  # fmt: skip


def fits(a: Array, e: Array, inputs: Sequence[Array]) -> Iterator[list[Fit]]:
    """What each relation fits, simplest first."""
    yield list(unchanged(a, e, inputs))
    for relation in PLAIN:
        yield list(relation(a, e))
    yield list(added(a, e, inputs))
    for relation in OTHER:
        yield list(relation(a, e))
