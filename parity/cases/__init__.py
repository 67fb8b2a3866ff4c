"""All cases, one row each."""

from __future__ import annotations

from parity.cases import demucs, full_size, hdemucs, htdemucs, whole_track
from parity.cases.case import Case

__all__ = ["BY_NAME", "CASES", "IN_REPOSITORY", "Case"]

CASES: tuple[Case, ...] = (
    *demucs.CASES,
    *hdemucs.CASES,
    *htdemucs.CASES,
    *whole_track.CASES,
    *full_size.CASES,
)

BY_NAME: dict[str, Case] = {case.name: case for case in CASES}

# Those whose goldens are in the repository.
IN_REPOSITORY = tuple(case for case in CASES if case.stored == "repository")
