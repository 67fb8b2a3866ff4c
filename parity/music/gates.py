"""Holds what both sides made of scenes against the truth, stem by stem and stretch by stretch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from parity.core.compare import snr_db
from parity.music import scores
from parity.music.scenes import Scene, stretches

if TYPE_CHECKING:
    import pandas as pd


Array = npt.NDArray[Any]
ALL = "all"  # the row of all stems together

# What a listener, and any table of results, cannot tell apart. For silence, where there is no SDR,
# it bounds what remains of the level.
MOST_DB = 0.0005
# Two float32 passes of the published networks, with weights of order 1, agree to 121 dB and more
# over a scene; a stem or a stretch alone does not have the others' errors to be averaged with.
LEAST_SNR = {True: 120.0, False: 110.0}  # all stems of a whole scene; anything smaller
MEASURES = ("sdr", "isr", "sir", "sar", "si_sdr", "level")
GATED = ("sdr", "si_sdr", "level")


@dataclass(frozen=True)
class Row:
    """One stem in one stretch of one scene, in dB.

    `level` is the power of the estimates; `sdr` of "whole" is the median of museval's frames, that
    of other stretches is of one frame. NaN: not defined there, as SDR is where the truth is silent.
    `snr` is the reference over the difference. `reason` names the gates that failed. `verdict` is
    "not decided" where a gate failed that the reference's own float32 fails as well.
    """

    model: str
    scene: str
    stem: str
    stretch: str
    truth_level: float
    sdr_reference: float
    sdr_port: float
    isr_reference: float
    isr_port: float
    sir_reference: float
    sir_port: float
    sar_reference: float
    sar_port: float
    si_sdr_reference: float
    si_sdr_port: float
    level_reference: float
    level_port: float
    snr: float
    reason: str = ""
    verdict: Literal["pass", "fail", "not decided"] = "pass"

    def delta(self, measure: str) -> float:
        """Port less reference; 0 where both have the same, be it none or infinite."""
        reference, port = (getattr(self, f"{measure}_{side}") for side in ("reference", "port"))
        if np.array_equal(reference, port, equal_nan=True):
            return 0.0
        return float(port - reference)


def compare_scene(model: str, scene: Scene, reference: Array, port: Array) -> Iterator[Row]:
    """The rows of one scene; estimates are (S, 2, T)."""
    museval = {
        side: scores.bss_eval(scene.stems, estimates)
        for side, estimates in (("reference", reference), ("port", port))
    }
    for stretch in stretches(scene):
        for index, stem in enumerate((ALL, *scene.sources)):
            truth, *estimates = parts(scene, stem, stretch, (scene.stems, reference, port))
            values: dict[str, Any] = {}
            for side, estimate in zip(("reference", "port"), estimates, strict=True):
                of_frames = {}
                if stretch == "whole" and stem != ALL:
                    of_frames = {m: museval[side].median(m)[index - 1] for m in scores.MEASURES}
                values.update(_measures(side, truth, estimate, of_frames))
            row = Row(
                model,
                scene.name,
                stem,
                stretch,
                scores.level(truth),
                **values,
                snr=snr_db(estimates[1], estimates[0]),
            )
            reason = "; ".join(failed_gates(row).values())
            yield replace(row, reason=reason, verdict="fail" if reason else "pass")


def parts(scene: Scene, stem: str, stretch: str, arrays: Sequence[Array]) -> list[Array]:
    """One stem, or all, in one stretch, of each array (S, 2, T)."""
    place = stretches(scene)[stretch]
    index = None if stem == ALL else scene.sources.index(stem)
    stems = slice(None) if index is None else slice(index, index + 1)
    return [array[stems, :, place] for array in arrays]


def _measures(side: str, truth: Array, estimate: Array, of_frames: Any) -> dict[str, float]:
    values = dict.fromkeys(scores.MEASURES, float("nan"))
    values["sdr"] = scores.sdr(truth, estimate)
    values.update({measure: float(value) for measure, value in of_frames.items()})
    values["si_sdr"] = scores.si_sdr(truth, estimate)
    values["level"] = scores.level(estimate)
    return {f"{measure}_{side}": value for measure, value in values.items()}


def failed_gates(row: Row) -> dict[str, str]:
    """The gates that a row does not pass, with a sentence each."""
    failed = {}
    for measure in GATED:
        change = row.delta(measure)
        if not abs(change) <= MOST_DB:
            failed[measure] = f"{measure} changes by {change:.2g} dB, more than {MOST_DB:g}"
    if not row.snr >= least_snr(row):
        failed["snr"] = f"SNR {row.snr:.1f} dB, less than {least_snr(row):g}"
    return failed


def least_snr(row: Row) -> float:
    """The bound on the SNR of a row."""
    return LEAST_SNR[row.stem == ALL and row.stretch == "whole"]


def table(found: list[Row]) -> pd.DataFrame:
    """All rows as pandas has them: both sides, and port less reference as `delta_...`.

    Raises:
        ImportError: pandas, in the extra `music`, is not installed.
    """
    import pandas as pd

    plain = [
        {
            **{
                key: value for key, value in asdict(row).items() if key not in ("verdict", "reason")
            },
            **{f"delta_{measure}": row.delta(measure) for measure in MEASURES},
            "verdict": row.verdict,
            "reason": row.reason,
        }
        for row in found
    ]
    return pd.DataFrame(plain)
