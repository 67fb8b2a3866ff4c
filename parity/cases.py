"""All cases, one row each."""

from __future__ import annotations

from parity import cases_apply, cases_demucs, cases_full, cases_hybrid, cases_transformer
from parity.case import Case

__all__ = ["BY_NAME", "CASES", "Case"]

CASES: tuple[Case, ...] = (
    *cases_demucs.CASES,
    *cases_hybrid.CASES,
    *cases_transformer.CASES,
    *cases_apply.CASES,
    *cases_full.CASES,
)

BY_NAME: dict[str, Case] = {case.name: case for case in CASES}
