"""Machine-made mutants: drawn from source, planted in what runs, hunted until something fails."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf.models.hybrid import HybridModel
from parity import mutants as machine
from parity.core.guards import hunt, mutants
from parity.core.guards.hunt import Heard
from parity.core.guards.mutants import Mutant
from parity.mutants.equivalent import Equivalent
from tests.parity.conftest import Call

SOURCE = '''
"""A port of two functions."""
from functools import lru_cache


class Layer:
    def __init__(self, size=1):
        self.size = size + 1

    def call(self, x, scale=2.0):
        """Not 3 + 4."""
        if x is None:
            raise ValueError("less than " + str(0))
        x = x * scale
        return table(3)[0] - x if self.size > 1 else x

    @property
    def half(self):
        return round(self.size / 2, ndigits=1)


@lru_cache
def table(n):
    return [n + 1]


def wait(n):
    while n > 0:
        n -= 1
    return n


def pairs(a, b):
    assert a + b, max(a, 0)
    return zip(min(a, b), b, strict=True), pow(a, a)
'''


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "toy_port.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(hunt, "_modules", ("toy_port",))
    yield importlib.import_module("toy_port")
    importlib.sys.modules.pop("toy_port")  # type: ignore[attr-defined]


def judge(check: str) -> str:
    port = importlib.import_module("toy_port")
    if check == "wait":
        return "" if port.wait(3) == 0 else "wait"
    layer = port.Layer()
    return "" if (layer.call(1.5), layer.half) == (1.0, 1.0) else "call"


CHANGES = {
    ("Layer.call", "operator", "x is None -> x is not None"),
    ("Layer.call", "sequence", "x = x * scale -> left out"),
    ("Layer.call", "operator", "x * scale -> x / scale"),
    ("Layer.call", "operator", "table(3)[0] - x -> table(3)[0] + x"),
    ("Layer.call", "operator", "self.size > 1 -> self.size >= 1"),
    ("Layer.call", "constant", "1 -> 2"),
    ("Layer.call", "constant", "3 -> 4"),
    ("Layer.call", "constant", "0 -> 1"),
    ("Layer.half", "operator", "self.size / 2 -> self.size * 2"),
    ("Layer.half", "constant", "2 -> 3"),
    ("Layer.half", "hyperparameter", "1 -> 2"),
    ("Layer.half", "parameter", "round(self.size / 2, ndigits=1) -> round(self.size / 2)"),
    ("table", "operator", "n + 1 -> n - 1"),
    ("table", "constant", "1 -> 2"),
    ("wait", "operator", "n > 0 -> n >= 0"),
    ("wait", "constant", "0 -> 1"),
    ("wait", "sequence", "n -= 1 -> left out"),
    ("wait", "constant", "1 -> 2"),
    ("pairs", "parameter", "zip(min(a, b), b, strict=True) -> zip(b, min(a, b), strict=True)"),
}


def test_every_change_outside_of_constructors_and_messages(port: ModuleType) -> None:
    found = {(m.function, m.kind, m.change) for m in mutants.of_module("toy_port")}
    assert found >= CHANGES
    (swapped,) = found - CHANGES  # the two branches of the conditional expression, shortened
    assert "self.size > 1 else" in swapped[2]


def test_a_seed_draws_the_same(port: ModuleType) -> None:
    first, again, other = (mutants.draw(["toy_port"], 5, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len(mutants.draw(["toy_port"], 99, 1)) == len(CHANGES) + 1
    assert str(first[0]).startswith("toy_port:")


def _hunted(change: str, function: str) -> hunt.Caught:
    files = frozenset([str(importlib.import_module("toy_port").__file__)])
    checks = [hunt.heard(judge, check, files) for check in ("wait", "call")]
    (mutant,) = [
        m for m in mutants.of_module("toy_port") if (m.function, m.change) == (function, change)
    ]
    return hunt.hunt(judge, mutant, checks)


def test_a_graph_is_traced_with_the_change(port: ModuleType) -> None:
    """AutoGraph goes by the source of what a graph is made of."""
    (mutant,) = [m for m in mutants.of_module("toy_port") if m.change == "x * scale -> x / scale"]

    def traced() -> float:
        return float(tf.function(lambda x: port.Layer().call(x))(tf.constant(1.5)))

    assert traced() == 1.0
    with hunt.planted(mutant):
        assert traced() == 3.25
    assert traced() == 1.0


def test_what_becomes_of_mutants(port: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunt, "LEAST", 0.3)
    ends = [
        _hunted("x * scale -> x / scale", "Layer.call"),
        _hunted("x is None -> x is not None", "Layer.call"),
        _hunted("n + 1 -> n - 1", "table"),
        _hunted("n -= 1 -> left out", "wait"),
        _hunted("self.size > 1 -> self.size >= 1", "Layer.call"),
    ]
    assert [(end.fate, end.check) for end in ends] == [
        ("killed", "call"),
        ("crashed", "call"),
        ("killed", "call"),  # whatever the table remembers
        ("endless", "wait"),
        ("survived", "1 of 1 checks"),
    ]
    assert judge("call") == judge("wait") == ""  # all is as it was
    assert hunt.by_class(ends)["operator"] == {"killed": 2, "crashed": 1, "survived": 1}


def test_a_method_without_its_super_call_runs() -> None:
    (mutant,) = [
        each
        for each in mutants.of_module("demucs_tf.models.hybrid")
        if each.function == "HybridModel.check" and each.kind == "sequence"
    ]
    mix = np.zeros(1)
    with hunt.planted(mutant):  # the mixture is not checked against the model, which there is none
        assert HybridModel.check(None, mix) is mix  # type: ignore[arg-type]


def test_all_changes_of_the_port_compile() -> None:
    drawn = mutants.draw(machine.MODULES, 60, 0)
    for mutant in drawn:
        function = mutants.live_function(mutant.module, mutant.function)
        assert function is not None
        code = mutants.code_of(mutant)
        assert code.co_name == function.__name__
        assert code.co_freevars == function.__code__.co_freevars
        assert code.co_code != function.__code__.co_code or code != function.__code__


def test_the_table_of_equivalents_names_mutants_that_there_are() -> None:
    every = [mutant for name in machine.MODULES for mutant in mutants.of_module(name)]
    idle = [row for row in machine.EQUIVALENT if not any(map(row.fits, every))]
    assert not idle
    assert all(row.why.endswith(".") for row in machine.EQUIVALENT)


def test_a_row_of_the_table_is_text_but_for_its_stars(port: ModuleType) -> None:
    drawn = mutants.of_module("toy_port")
    row = Equivalent(" table: return [*]", "n + 1 -> *", "A toy.")
    assert [mutant.change for mutant in drawn if row.fits(mutant)] == ["n + 1 -> n - 1"]
    assert not any(map(Equivalent(" table: return [*", "n . 1 -> *", "").fits, drawn))


def test_a_check_hears_lines(port: ModuleType) -> None:
    """A branch that it does not take is not heard, and a mutant there not hunted with it."""
    file = str(port.__file__)
    call = hunt.heard(judge, "call", frozenset([file]))
    raising = next(n for n, line in enumerate(SOURCE.splitlines(), 1) if "raise" in line)
    assert call.hears(file, raising - 1, raising - 1)
    assert not call.hears(file, raising, raising)
    assert not call.hears("another", 1, 99)


def test_what_runs_the_same_lines_is_listened_to_once() -> None:
    lines = {"a": frozenset([1])}
    twins = machine.checks(Heard("demucs-lstm float64", 1.0, lines))
    assert [each.check for each in twins] == ["demucs-lstm float64", "demucs-lstm float32"]
    assert twins[0].lines == twins[1].lines == lines
    assert machine.checks(Heard("a.py tests", 1.0, lines)) == [Heard("a.py tests", 1.0, lines)]
    names = machine.listened()
    assert len(set(names)) == len(names) > 140
    assert "inference/test_apply_bag.py tests" in names


def test_checks_are_tried_by_turns_of_kind() -> None:
    names = [("a case", 1.0), ("b case", 2.0), ("c case", 9.0), ("a file", 4.0), ("b file", 5.0)]
    tried = hunt.in_turns([Heard(name, seconds, {}) for name, seconds in names])
    assert [each.check for each in tried] == ["a case", "b case", "a file", "b file", "c case"]


def test_what_runs_into_an_error_is_tried_first_where_its_condition_is_changed(
    port: ModuleType,
) -> None:
    condition, step = (
        next(m for m in mutants.of_module("toy_port") if m.change.startswith(change))
        for change in ("x is None ->", "x = x * scale ->")
    )
    assert condition.body == (condition.line + 1, condition.line + 1)
    assert step.body == step.lines
    lines = range(condition.line, step.line + 1)
    quick = Heard(
        "quick case", 1.0, {str(port.__file__): frozenset({*lines} - {condition.body[0]})}
    )
    slow = Heard("slow file", 9.0, {str(port.__file__): frozenset(lines)})
    deaf = Heard("deaf case", 0.1, {})
    assert hunt.hearing(condition, [deaf, quick, slow]) == [slow, quick]
    assert hunt.hearing(step, [deaf, quick, slow]) == [quick, slow]


def test_who_lives_too_long_survives(port: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunt, "LONGEST", 0.0)
    file = str(port.__file__)
    heard = hunt.heard(judge, "call", frozenset([file]))
    (mutant,) = [
        m for m in mutants.of_module("toy_port") if m.change.startswith("self.size > 1 ->")
    ]
    end = hunt.hunt(judge, mutant, [heard, heard, heard])
    assert (end.fate, end.check) == ("survived", "1 of 3 checks")


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call, port: ModuleType
) -> None:
    """In this process: what `python -m parity mutate --machine` does with other mutants."""
    checks = [Heard("call", 0.01, {}), Heard("wait", 0.01, {})]
    drawn = mutants.of_module("toy_port")[:3]
    fates = iter(("killed", "survived"))
    monkeypatch.setattr(machine, "heard", lambda *_: [(1, 2, checks[0]), (2, 2, checks[1])])
    monkeypatch.setattr(mutants, "draw", lambda *_: drawn)
    monkeypatch.setattr(
        machine, "EQUIVALENT", (Equivalent(" Layer.call: *", drawn[0].change, "nobody can tell"),)
    )

    def caught(judge: object, hunted: list[Mutant], *_: object) -> Iterator[hunt.Caught]:
        for mutant in hunted:
            fate = next(fates)
            yield hunt.Caught(mutant, fate, "call", "")  # type: ignore[arg-type]

    monkeypatch.setattr(hunt, "hunt_all", caught)
    path = tmp_path / "m.json"
    out, _ = call("mutate", "--machine", 3, "--seed", 7, "--json", path, status=1)
    assert "(nobody can tell)" in out
    assert "machine mutation score: 1/2, seed 7; 1 equivalent" in out
    assert [each["fate"] for each in json.loads(path.read_text())] == ["killed", "survived"]
    _, err = call("mutate", "--machine", 0, status=2)
    assert "1 or more" in err
