"""What differs between two captures of one case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parity.core.compare import UNIT_ROUNDOFF, compare, relative_l2, relative_l2_where_finite
from parity.core.events import Event, Expected, content
from parity.core.tolerances import SCALE_FLOAT64

# Two runs of the reference agree this well in float64, whatever the number of threads and the
# instruction set; what is further off has changed. Bits differ, as sums are ordered otherwise.
# Where the reference is ill-conditioned, each of the two may be off by what its float32 is, on the
# scale of float64.
SAME_REFERENCE = 1e-13
SAME_FLOOR = 10.0


def changes(old: Expected, new: Expected, lines: bool = True) -> list[str]:
    """What differs, a line each; empty if both are of one reference.

    `lines`: whether the reference's lines have to be the same ones.
    """
    problems = [
        f"{name} differ"
        for name in ("reference", "leaves", "buffers", "idle", "unmapped")
        if getattr(old, name) != getattr(new, name)
    ]
    if old.mix.shape != new.mix.shape or relative_l2(old.mix, new.mix):
        problems.append("the input signal is another one")
    if [_signature(e, lines) for e in old.events] != [_signature(e, lines) for e in new.events]:
        return [*problems, "the reference makes other calls than the golden has"]
    own = {
        content(array): SCALE_FLOAT64 * floor
        for event in old.events
        for array, floor in zip(event.outputs, event.cumulative_floors, strict=True)
    }
    for before, now in zip(old.events, new.events, strict=True):
        place = f"{now.path or '(model)'} call {now.call}"
        problems += [f"{place}: {reason}" for reason in _changes(before, now, own)]
    return problems


def _changes(before: Event, now: Event, own: Mapping[bytes, float]) -> list[str]:
    """`own`: how far off float64 is, of each tensor by its content."""
    pairs = zip([*before.inputs, *before.outputs], [*now.inputs, *now.outputs], strict=True)
    differences = [
        compare(kept, array, max(SAME_REFERENCE, 2 * own.get(content(kept), 0.0)))
        for kept, array in pairs
    ]
    floors = [
        (name, kept, floor)
        for name in ("isolated", "cumulative")
        for kept, floor in zip(
            getattr(before, f"{name}_floors"), getattr(now, f"{name}_floors"), strict=True
        )
    ]
    return [
        *(difference.reason for difference in differences if not difference.passed),
        *(
            f"the {name} floor was {kept:.3g}, is {floor:.3g}"
            for name, kept, floor in floors
            if not same_floor(kept, floor)
        ),
    ]


def _signature(event: Event, lines: bool) -> tuple[Any, ...]:
    sizes = (len(event.inputs), len(event.outputs))
    return (*event.key, event.kind, event.owner, event.source if lines else "", *sizes)


def worst(old: Expected, new: Expected) -> float:
    """The largest relative L2 distance between outputs of the same calls."""
    pairs = [
        (a, b)
        for before, now in zip(old.events, new.events, strict=True)
        for a, b in zip(before.outputs, now.outputs, strict=True)
    ]
    return max((relative_l2_where_finite(a, b) for a, b in pairs), default=0.0)


def same_floor(kept: float, floor: float) -> bool:
    """Rounding differs between machines, but not in its order of magnitude."""
    least = UNIT_ROUNDOFF["float32"]
    return max(kept, floor, least) <= SAME_FLOOR * max(min(kept, floor), least)
