"""What a calibration keeps of runs, and what it says of the tolerances."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parity.core import tolerances
from parity.core.guards import calibration
from parity.core.result import ParityError
from parity.demucs import SUBJECT
from parity.run import golden_folder
from tests.parity.conftest import Call
from tests.parity.test_report import record, result

COMMITTED = golden_folder() / "calibration.json"
DOCS = Path(__file__).parents[2] / "docs" / "tolerances.md"


def run_of(*shares: float, **changes: Any) -> dict[str, Any]:
    """A run whose records use these shares of their tolerances."""
    layers = [
        record(f"encoder.{i}", rel_l2=s, tolerance=1.0, **changes) for i, s in enumerate(shares)
    ]
    return calibration.condensed(SUBJECT, [result(*layers)])


def calibrated(**runs: dict[str, Any]) -> dict[str, Any]:
    return {"factors": tolerances.factors(), "runs": runs}


RULES = {
    "float32, isolated": record(),
    "float32, inside a pass": record(mode="cumulative"),
    "float32, output": record(""),
    "float64, isolated, std": record(":std", kind="tap", dtype="float64"),
    "float64, isolated": record("encoder.0:glu", kind="tap", dtype="float64"),
    "float32, isolated, wiener_maximization": record(":wiener_maximization", kind="tap"),
}


@pytest.mark.parametrize("rule", RULES)
def test_which_tolerance_a_record_is_held_to(rule: str) -> None:
    assert calibration.rule_of(SUBJECT, RULES[rule]) == rule


def test_the_worst_of_each_rule_is_kept_with_its_setting() -> None:
    runs = {"a": run_of(0.1, 0.5), "b": run_of(0.7, 0.2), "c": run_of(0.3, mode="cumulative")}
    found = calibration.worst(runs)
    assert found["float32, isolated"]["share"] == 0.7
    assert (found["float32, isolated"]["place"], found["float32, isolated"]["setting"]) == (
        "encoder.0",
        "b",
    )
    assert found["float32, inside a pass"]["share"] == 0.3
    assert runs["a"]["compared"] == 2
    assert calibration.problems(calibrated(**runs)) == []


def test_a_failure_is_a_false_alarm() -> None:
    (found,) = calibration.problems(calibrated(a=run_of(1.1, verdict="fail")))
    assert found == "false alarm with a: htdemucs/odd float32 isolated encoder.0"


def test_a_failure_without_a_number_is_a_false_alarm_as_well() -> None:
    layers = [record(), record("encoder.1", noise_ratio=None, rel_l2=None, verdict="fail")]
    run = calibration.condensed(SUBJECT, [result(*layers)])
    assert run["failed"] == ["htdemucs/odd float32 isolated encoder.1"]
    assert run["compared"] == 1


def test_a_tolerance_that_holds_anything_is_vacuous() -> None:
    assert calibration.problems(calibrated(a=run_of(1 / 19))) == []
    (found,) = calibration.problems(calibrated(a=run_of(1 / 21, 1e-9)))
    assert found.startswith("the tolerance float32, isolated is vacuous: the worst error ever seen")


def test_other_factors_than_those_that_were_measured() -> None:
    other = {**calibrated(a=run_of(0.5)), "factors": {"float32": 4.0}}
    (found,) = calibration.problems(other)
    assert "run `python -m parity calibrate`" in found


def test_a_run_that_compared_nothing_calibrates_nothing() -> None:
    moved = record(tolerance=0.0)
    for layers in ([], [moved], [replace(moved, kind="parameter")]):
        with pytest.raises(ParityError, match="compared nothing"):
            calibration.condensed(SUBJECT, [result(*layers)])


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema": 2}', '{"schema": 1, "factors": {}, "runs": {"a": {}}}', "{"]
)
def test_a_damaged_file_is_named_with_what_helps(text: str, tmp_path: Path, call: Call) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    _, err = call("calibrate", "--show", "--file", path, status=2)
    assert err.startswith(f"error: {path} is no calibration")
    assert "python -m parity calibrate" in err


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    there = calibrated(a=run_of(0.5), b=run_of(0.6))
    calibration.write(path, there)
    assert calibration.read(path) == {**there, "schema": 1}
    first = path.read_bytes()
    calibration.write(path, calibration.read(path))
    assert path.read_bytes() == first


def test_the_command_runs_what_is_missing_and_keeps_it(tmp_path: Path, call: Call) -> None:
    path = tmp_path / "c.json"
    _, err = call("calibrate", "nothing like it", "--file", path, status=2)
    assert "no setting is nothing like it; there are: eager, 1 thread, oneDNN;" in err
    assert not path.exists()
    assert len(calibration.SETTINGS) == 18


def test_the_committed_one_holds_and_is_what_the_docs_show() -> None:
    there = calibration.read(COMMITTED)
    assert there["runs"].keys() <= calibration.SETTINGS.keys()
    assert calibration.problems(there) == []
    assert calibration.page(DOCS.read_text(), there) == DOCS.read_text()
    assert calibration.table(there) in DOCS.read_text()


def test_a_page_gets_the_table(tmp_path: Path, call: Call) -> None:
    path, page = tmp_path / "c.json", tmp_path / "page.md"
    calibration.write(path, {**calibrated(), "runs": {"xla, 2 threads, oneDNN": run_of(0.5)}})
    page.write_text("# A\n\n<!-- calibrate -->old<!-- /calibrate -->\n\nend\n")
    call("calibrate", "--show", "--file", path, "--page", page)
    text = page.read_text()
    assert text.startswith("# A\n\n<!-- calibrate -->\n\n| rule")
    assert text.endswith("\n\n<!-- /calibrate -->\n\nend\n")
    assert "- eager, 1 thread, oneDNN\n" in text
    assert "- xla, 2 threads, oneDNN\n" not in text
    page.write_text("none\n")
    _, err = call("calibrate", "--show", "--file", path, "--page", page, status=2)
    assert err.startswith("error: Expected <!-- calibrate -->")
    assert page.read_text() == "none\n"


def test_one_number_carries_the_tolerances() -> None:
    assert tolerances.FACTOR <= 3
    assert tolerances.FACTOR_INSIDE <= 1.5 * tolerances.FACTOR
    worst = calibration.worst(calibration.read(COMMITTED)["runs"])
    for rule in ("float32, isolated", "float32, output"):
        assert worst[rule]["noise_ratio"] <= tolerances.FACTOR


def test_the_file_is_sorted_and_small() -> None:
    assert COMMITTED.stat().st_size < 60_000
    assert list(json.loads(COMMITTED.read_text())["runs"]) == sorted(
        calibration.read(COMMITTED)["runs"]
    )
