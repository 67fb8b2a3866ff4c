"""The harness knows its own sensitivity: every known fault turns its case red, where it sits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from parity.core.guards import gate
from parity.core.mutate import Faults, Line, mutate
from parity.core.result import ParityError
from parity.faults import FAULTS
from parity.run import golden_folder
from parity.tests.jobs import Job, Pool, fault_outcome

BY_NAME = {fault.name: fault for fault in FAULTS}


def jobs(params: Mapping[str, Any], live: bool) -> list[Job]:
    """What a test below waits for."""
    return [(fault_outcome, params["name"])] if set(params) == {"name"} else []


@pytest.mark.parametrize("name", BY_NAME)
def test_fault_is_caught(name: str, pool: Pool) -> None:
    outcome = pool.result(fault_outcome, name)
    assert outcome.killed, f"{name} went unseen"
    assert outcome.placed, f"found at {outcome.found!r}, expected {outcome.expected!r}"


def test_those_of_the_baseline_are_all_there() -> None:
    """And the baseline has those that were added: a fault that disappears is missed."""
    kept = gate.read_baseline(golden_folder() / "baseline.json")["faults"]
    assert {name.split()[0] for name in kept} == {*BY_NAME}


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(FAULTS) >= 100


def _text(line: Line, count: int = 1) -> str:
    lines = Path(line.file).read_text(encoding="utf-8").splitlines()
    return "".join(lines[line.number - 1 :][:count])


def test_a_fault_knows_where_it_is_written() -> None:
    for fault in FAULTS:
        assert re.match(rf'@?fault\( *"{fault.name}"', _text(fault.written, 2))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("conv-causal-padding", "    def call("),
        ("lstm-hard-sigmoid", "def _gated("),
        ("resample-linear", "def resample_frac("),
        ("wiener-exact-pi", "_PI = "),
        ("loader-ignores-an-argument", "PORTS: "),
    ],
)
def test_a_fault_knows_the_code_that_it_replaces(name: str, code: str) -> None:
    assert _text(BY_NAME[name].replaced).startswith(code)


class _Port:
    slope = 2


def _run(case: str) -> Any:
    """Compare a port of one layer, "scale", whose slope should be 2."""
    sound = case == "sound" and _Port.slope == 2
    layers = [SimpleNamespace(path="scale", module_class="Scale")]
    first = None if sound else "scale"
    return SimpleNamespace(
        verdict="pass" if sound else "fail", first_divergence=first, layers=layers
    )


def test_what_becomes_of_faults() -> None:
    fault = Faults()
    entered = []

    @contextmanager
    def within() -> Iterator[None]:
        entered.append(_Port.slope)
        yield
        entered.append(_Port.slope)

    fault("seen", "sound", "^scale Scale$", replaces=(_Port, "slope"), within=within)(3)
    fault("elsewhere", "sound", "^shift ", replaces=(_Port, "slope"))(3)
    fault("unseen", "sound", "^scale ", replaces=(_Port, "slope"))(2)
    fault("in-no-sound-case", "unsound", "^scale ", replaces=(_Port, "slope"))(3)
    outcomes = mutate(fault, _run)
    found = [next(outcomes) for _ in range(3)]
    assert [(o.fault, o.killed, o.placed, o.found) for o in found] == [
        ("seen", True, True, "scale Scale"),
        ("elsewhere", True, False, "scale Scale"),
        ("unseen", False, False, ""),
    ]
    assert entered == [2, 2]  # before the fault is there, and after it is gone
    with pytest.raises(ParityError, match=r"^unsound fails without any fault \(scale\): mend"):
        next(outcomes)
    with pytest.raises(AttributeError, match="offset"):
        fault("of-nothing", "sound", "", replaces=(_Port, "offset"))
