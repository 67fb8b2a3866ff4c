"""Runs cases of Demucs backwards: gradients of every call, and of the whole model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from parity.cases import Case
from parity.core.backward.gradients import NoGradient
from parity.core.backward.suite import BackwardSuite
from parity.core.result import Result
from parity.run import SUITE
from parity.select import only

# Between them they have every kind of layer and of step that is learnt through: small ones, as the
# gradients of a case take as much room as its activations.
STORED = (
    "demucs-dconv0",
    "demucs-deep-branches",
    "demucs-lstm",
    "demucs-norm",
    "demucs-attention",
    "hdemucs-plain",
    "hdemucs-masks-silence",
    "htdemucs-plain",
)
BACKWARD = BackwardSuite(SUITE, STORED, command="python -m parity capture --backward --case")
run_case = BACKWARD.run_case


def run_cases(
    cases: Sequence[Case], dtypes: Sequence[str], expression: str = "", **options: Any
) -> Iterator[Result | str]:
    """The results of cases; for one that the reference has no gradient of, what it says."""
    for case in cases:
        for dtype in dtypes:
            try:
                result = only(run_case(case, dtype, **options), expression)
            except NoGradient as error:
                yield f"{case.name} ({error})"
                break
            if result.layers:
                yield result
