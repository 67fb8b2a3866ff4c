"""Injects the known faults one at a time: does the harness see each, and at the right place?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from unittest import mock

import tensorflow as tf

from demucs_tf.layers import recurrent
from parity.cases import BY_NAME
from parity.core.result import ParityError
from parity.faults.demucs import Fault
from parity.run import run_case


@dataclass(frozen=True)
class Outcome:
    """What became of one fault. `found` is the first divergence, "path Class"."""

    fault: str
    case: str
    killed: bool
    placed: bool
    found: str
    expected: str


def inject(fault: Fault) -> Outcome:
    """Run the fault's case with the fault in place, float64 and isolated."""
    recur = recurrent._recur
    if fault.owner is recurrent:  # traced anew: an earlier trace would hide a fault inside of it
        recur = tf.function(recur.python_function, reduce_retracing=True, autograph=False)
    with (
        mock.patch.object(recurrent, "_recur", recur),
        mock.patch.object(fault.owner, fault.attribute, fault.replacement),
    ):
        result = run_case(BY_NAME[fault.case], "float64", mode="isolated")
    first = result.first_divergence
    owner = next((r.module_class for r in result.layers if r.path == first), "")
    found = "" if first is None else f"{first} {owner}"
    placed = first is not None and re.search(fault.place, found) is not None
    return Outcome(fault.name, fault.case, result.verdict == "fail", placed, found, fault.place)


def mutate(faults: Iterable[Fault]) -> Iterator[Outcome]:
    """Every fault's outcome, after its case has passed without it.

    Raises:
        ParityError: a case fails as it is, so that no fault could be seen in it.
    """
    clean: set[str] = set()
    for fault in faults:
        if fault.case not in clean:
            result = run_case(BY_NAME[fault.case], "float64", mode="isolated")
            if result.verdict != "pass":
                raise ParityError(
                    f"{fault.case} fails without any fault ({result.first_divergence}): "
                    "mend the port first."
                )
            clean.add(fault.case)
        yield inject(fault)
