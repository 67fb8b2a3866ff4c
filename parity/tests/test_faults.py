"""The harness knows its own sensitivity: every known fault turns its case red, where it sits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from parity.faults import FAULTS
from parity.tests.jobs import Job, Pool, fault_outcome

NAMES = [fault.name for fault in FAULTS]


def jobs(params: Mapping[str, Any], live: bool) -> list[Job]:
    """What a test below waits for."""
    return [(fault_outcome, params["name"])]


@pytest.mark.parametrize("name", NAMES)
def test_fault_is_caught(name: str, pool: Pool) -> None:
    outcome = pool.result(fault_outcome, name)
    assert outcome.killed, f"{name} went unseen"
    assert outcome.placed, f"found at {outcome.found!r}, expected {outcome.expected!r}"


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 100
