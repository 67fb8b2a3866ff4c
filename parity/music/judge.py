"""Runs both sides on scenes, and says of a failed gate whether float32 itself can pass it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from parity.core.compare import snr_db
from parity.core.result import ParityError
from parity.core.tolerances import FACTOR
from parity.music import scores
from parity.music.gates import MOST_DB, Row, compare_scene, failed_gates, least_snr, parts
from parity.music.scenes import Scene

if TYPE_CHECKING:
    from parity.music.sides import Sides

Array = npt.NDArray[Any]
BLOCK = 1024  # samples, over which rounding errors count as one draw


def rows(sides: Sides, scenes: list[Scene]) -> Iterator[Row]:
    """Run both sides of a model on scenes, one side after the other, and compare.

    Where a gate fails, the reference runs in float64 as well, to say whether its own float32 holds.

    Raises:
        ParityError: a side gives something of another shape than the truth.
    """
    mixtures = [scene.mixture for scene in scenes]
    reference, port = (sides.run(side, mixtures) for side in ("reference", "port"))
    for scene, *both in zip(scenes, reference, port, strict=True):
        for side, estimates in zip(("reference", "port"), both, strict=True):
            if estimates.shape != scene.stems.shape:
                raise ParityError(
                    f"{sides.name}: the {side} gives stems of shape {estimates.shape}, "
                    f"the truth has {scene.stems.shape}."
                )
        found = list(compare_scene(sides.name, scene, *both))
        if any(row.verdict == "fail" for row in found):
            [wide] = sides.run("wide", [scene.mixture])
            found = [decided(row, scene, wide, *both) for row in found]
        yield from found


def decided(row: Row, scene: Scene, wide: Array, reference: Array, port: Array) -> Row:
    """A failed row, or "not decided" where the reference's own float32 cannot hold the gate.

    Args:
        row: what `compare_scene` said.
        scene: what was heard.
        wide, reference, port: estimates (S, 2, T), `wide` those of the reference in float64.

    Either the reference's float32 is farther from its float64 than the gate on SNR allows, as where
    masks are multiplied by the phase of silence; or only SI-SDR changes, of an estimate so nearly
    orthogonal to the truth that the reference's own rounding changes it as much. The port may be
    as far from float64 as a tensor's tolerance allows, in units of what the reference is.
    """
    if row.verdict != "fail":
        return row
    truth, exact, narrow, found = parts(
        scene, row.stem, row.stretch, (scene.stems, wide, reference, port)
    )
    own, ours = snr_db(narrow, exact), snr_db(found, exact)
    why = ""
    if own < least_snr(row) and ours >= own - 20 * np.log10(FACTOR):
        why = f"of float64 the reference's own float32 is {own:.1f} dB, the port {ours:.1f} dB"
    elif [*failed_gates(row)] == ["si_sdr"]:
        spread = FACTOR * si_sdr_spread(truth, exact, narrow)
        change = scores.si_sdr(truth, found) - scores.si_sdr(truth, exact)
        if spread > MOST_DB and abs(change) <= spread:
            why = (
                f"the estimate is next to orthogonal to the truth, SI-SDR {row.si_sdr_port:.1f} "
                f"dB: {FACTOR:g} times the reference's own rounding change it by {spread:.2g} dB"
            )
    return replace(row, reason=f"{row.reason}; {why}", verdict="not decided") if why else row


def si_sdr_spread(truth: Array, exact: Array, narrow: Array) -> float:
    """How far rounding errors like those of `narrow` change SI-SDR, in dB: a standard deviation.

    To first order the change is the sum of gradient times error. What the sum over all samples
    happens to be is luck, and sums over blocks, squared and added up, are its variance.
    """
    s, e, n = (np.asarray(x, np.float64).reshape(-1, x.shape[-1]) for x in (truth, exact, narrow))
    shared = float(np.sum(s * e))
    if not shared:
        return np.inf
    rest = e - s * (shared / float(np.sum(s**2)))
    gradient = 20 / np.log(10) * (s / shared - rest / float(np.sum(rest**2)))
    products = gradient * (n - e)
    blocks = np.add.reduceat(products, range(0, products.shape[-1], BLOCK), axis=-1)
    return float(np.sqrt(np.sum(blocks**2)))
