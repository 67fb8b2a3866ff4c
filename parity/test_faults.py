"""The harness knows its own sensitivity: every known fault turns its case red, where it sits."""

from __future__ import annotations

import pytest

from parity.faults import FAULTS, Fault
from parity.mutate import inject


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_caught(fault: Fault) -> None:
    outcome = inject(fault)
    assert outcome.killed, f"{fault.name} went unseen"
    assert outcome.placed, f"found at {outcome.found!r}, expected {fault.place!r}"


def test_names_are_unique() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 20
