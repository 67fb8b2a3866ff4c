"""The tolerances. Data, with the reason beside each number.

The unit is the reference's own error: its float32 pass against its float64 pass, tensor by
tensor. `docs/tolerances.md` shows how the factor was measured.
"""

from __future__ import annotations

from parity.core.compare import UNIT_ROUNDOFF
from parity.core.events import Event
from parity.core.result import Mode
from parity.core.subject import Subject

# A port may be this many times as far from the float64 truth as the reference's float32 is.
# Other summation orders, other exp and erf, and fused operations stay within it; the faults of
# `parity/faults/demucs.py` do not.
FACTOR = 3.0

# Within the real pass, upstream errors come in with other signs, and the ratio of two small
# tensors' errors is partly luck; the bound on the model's output stays the one above.
FACTOR_INSIDE = 1.5 * FACTOR

# float64 has no wider oracle, and the float32 floor scaled by the ratio of both unit round-offs
# stands in for one. The reference itself is less exact than that: torch's float64 standard
# deviation of thirty seconds is 1e-14 off an exact sum, 90 such floors, and whatever comes behind
# it in a pass has that error. So the factor there is wider, as is that of the deviation itself
# (`inexact` of the subject), and 3e-14 is still far below any change of meaning.
FACTOR_FLOAT64_ISOLATED = 12.0
FACTOR_FLOAT64 = 256.0
SCALE_FLOAT64 = UNIT_ROUNDOFF["float64"] / UNIT_ROUNDOFF["float32"]

# Whatever the floor says, no tensor gets more than this.
CEILING = {
    ("float64", "isolated"): 1e-12,
    ("float64", "cumulative"): 1e-10,
    ("float32", "isolated"): 1e-4,
    ("float32", "cumulative"): 1e-3,
}

# A pass back comes through twice as many operations.
GRADIENT_FACTOR = {"isolated": 4.0, "cumulative": 8.0}
GRADIENT_CEILING = {"float64": 1e-10, "float32": 1e-3}

# What only moves data is bitwise equal.
BITWISE = 0.0


def factors() -> dict[str, float]:
    """The factors that a calibration is measured with, by what they are of."""
    return {
        "float32": FACTOR,
        "float32, inside a pass": FACTOR_INSIDE,
        "float64, isolated": FACTOR_FLOAT64_ISOLATED,
        "float64": FACTOR_FLOAT64,
    }


def floor(subject: Subject, event: Event, output: int, mode: Mode, dtype: str) -> float:
    """The relative L2 error that the reference itself has, or would have, at `dtype`."""
    if event.owner in subject.added_in_float32:
        return max(event.cumulative_floors[output], UNIT_ROUNDOFF["float32"])
    floors = event.isolated_floors if mode == "isolated" else event.cumulative_floors
    return floors[output] * (SCALE_FLOAT64 if dtype == "float64" else 1.0)


def tolerance(subject: Subject, event: Event, output: int, mode: Mode, dtype: str) -> float:
    """The bound on the relative L2 error of one output of one call."""
    if mode == "isolated" and subject.moves(event):
        return BITWISE
    if event.owner in subject.added_in_float32:
        return FACTOR * floor(subject, event, output, mode, dtype)
    unit = max(floor(subject, event, output, mode, dtype), UNIT_ROUNDOFF[dtype])
    name = event.path.rpartition(":")[2] if event.kind == "tap" else ""
    if dtype == "float64":
        alone = mode == "isolated" and event.path != ""
        factor = subject.inexact.get(name, FACTOR_FLOAT64_ISOLATED) if alone else FACTOR_FLOAT64
    else:
        factor = FACTOR if mode == "isolated" or event.path == "" else FACTOR_INSIDE
    # Alone or not, a whole model is a real pass.
    ceiling = CEILING[dtype, "cumulative" if event.path == "" else mode]
    if mode == "isolated":
        ceiling = subject.ceilings.get(name, {}).get(dtype, ceiling)
    return min(factor * unit, ceiling)


def gradient_tolerance(floor: float, mode: Mode, dtype: str) -> float:
    """The bound on the relative L2 error of a gradient whose floor at float32 is `floor`.

    The factors are wider than those of the forward pass: a gradient by a weight is a sum over all
    positions, of which one side may have summed more exactly.
    """
    if dtype == "float64":
        unit = max(floor * SCALE_FLOAT64, UNIT_ROUNDOFF["float64"])
        return min(FACTOR_FLOAT64 * unit, GRADIENT_CEILING["float64"])
    factor = GRADIENT_FACTOR[mode]
    return min(factor * max(floor, UNIT_ROUNDOFF["float32"]), GRADIENT_CEILING["float32"])
