"""Gradients of every call and of the whole model equal the reference's: from goldens, no torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.backward import BACKWARD, STORED
from parity.cases import BY_NAME
from parity.core.backward import checking
from parity.core.backward.gradients import CONSTANT, ROUNDING, UNCONNECTED, Gradient, judged
from parity.core.capture.port import Engine
from parity.core.events import owner_of
from parity.core.files import numbers
from parity.core.result import ParityError, Result, read_json, write_json
from parity.demucs import SUBJECT
from parity.report import text
from parity.report.html import write_html
from parity.run import golden_folder, make_port
from parity.tests.conftest import DTYPES
from parity.tests.jobs import Job, Pool, backward_result


def jobs(params: Mapping[str, Any], live: bool) -> list[Job]:
    """What a test below waits for."""
    if "name" not in params:
        return []
    return [(backward_result, params["name"], params["dtype"], params.get("engine", "eager"))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", STORED)
def test_gradients_equal_the_references(name: str, dtype: str, pool: Pool) -> None:
    result: Result = pool.result(backward_result, name, dtype, "eager")
    assert result.verdict == "pass", text.details(result)
    weights = BACKWARD.stored_expected(BY_NAME[name], None).whole.weights
    assert result.coverage.parameters.total == len(weights) > 0
    for record in result.layers:
        bound = {"float64": 1e-10, "float32": 1e-3}[dtype]
        assert record.verdict == "not decided" or (record.rel_l2 or 0) <= record.tolerance <= bound
    isolated = [r for r in result.layers if r.mode == "isolated" and r.noise_ratio is not None]
    if dtype == "float32":
        assert max(r.noise_ratio or 0 for r in isolated) <= 4
    whole = [r.path for r in result.layers if r.mode == "cumulative"]
    assert sorted(whole) == sorted(["", *weights])


def test_the_goldens_are_all_used_and_small() -> None:
    folder = golden_folder() / "backward"
    files = {path.name for path in folder.iterdir()}
    assert files == {f"{name}.{ending}" for name in STORED for ending in ("json", "npz")}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3e6


def _copy(tmp_path: Path) -> Path:
    for name in ("demucs-dconv0.json", "demucs-dconv0.npz"):
        (tmp_path / "backward").mkdir(exist_ok=True)
        shutil.copy(golden_folder() / name, tmp_path / name)
        shutil.copy(golden_folder() / "backward" / name, tmp_path / "backward" / name)
    return tmp_path


def test_a_damaged_golden_is_refused(tmp_path: Path) -> None:
    case, folder = BY_NAME["demucs-dconv0"], _copy(tmp_path)
    path = folder / "backward" / "demucs-dconv0.json"
    forward = BACKWARD.suite.golden(case).read()

    def refused(reason: str) -> None:
        with pytest.raises(ParityError, match=rf"{reason}.*--backward --case demucs-dconv0"):
            BACKWARD.golden(case, folder).read(forward)

    manifest = json.loads(path.read_text())
    manifest["calls"][0]["inputs"][0][1] += 1.0  # a floor is a tolerance
    path.write_text(json.dumps(manifest))
    refused("it was altered")
    manifest["forward"] = "others"
    manifest["manifest_sha256"] = numbers.manifest_hash(manifest)
    path.write_text(json.dumps(manifest))
    refused("other inputs or weights")
    path.with_suffix(".npz").write_bytes(b"PK")
    refused("truncated")
    path.unlink()
    refused("missing")


def test_what_decides_nothing_says_why() -> None:
    """By construction: keys under a softmax, what is in front of a norm of one group; constants."""
    backward = BACKWARD.stored_expected(BY_NAME["demucs-attention"], None)
    reasons = {k: g.reason for k, g in backward.whole.weights.items() if g.reason}
    assert {owner_of(key).rpartition(".")[2] for key in reasons} <= {"key", "0"}
    assert set(reasons.values()) == {ROUNDING}
    penalty = next(p for p in backward.calls if p.path.endswith(":penalty"))
    assert [g and g.reason for g in penalty.inputs] == ["", CONSTANT, CONSTANT, ""]
    one = np.ones((2, 3))
    tiny = judged([one * 1e-18] * 8, [one * 1e-9] * 8)
    assert tiny.reason == ROUNDING
    assert judged([one], [one * (1 + 1e-3)]).reason == ""  # ill-conditioned, and still decided
    assert judged(None, None) == Gradient(None, 0.0, UNCONNECTED)


@pytest.mark.parametrize(
    ("found", "gradient", "verdict", "reason"),
    [
        (1e-18, Gradient(np.full(3, 1e-18), 1e8, ROUNDING), "not decided", "rounding"),
        (1e-3, Gradient(np.full(3, 1e-18), 1e8, ROUNDING), "fail", "expected no longer than"),
        (np.nan, Gradient(np.full(3, 1e-18), 1e8, ROUNDING), "fail", "found nan"),
        (0.0, Gradient(None, 0.0, UNCONNECTED), "not decided", "does not depend"),
        (1.0, Gradient(None, 0.0, UNCONNECTED), "fail", "expected none"),
        (None, Gradient(np.ones(3), 1e-7), "fail", "nothing comes back"),
        (np.nan, Gradient(np.ones(3), 1e-7), "fail", "NaN"),
        (1.0 + 1e-9, Gradient(np.ones(3), 1e-7), "fail", "exceeds"),
        (1.0, Gradient(np.ones(3), 1e-7), "pass", ""),
    ],
)
def test_verdicts(found: float | None, gradient: Gradient, verdict: str, reason: str) -> None:
    array = None if found is None else np.full(3, found)
    fields = checking._judge(array, gradient, 1.0, "isolated", "float64")
    assert fields["verdict"] == verdict
    assert reason in fields["reason"]


def test_a_result_with_undecided_records_is_reported(tmp_path: Path, pool: Pool) -> None:
    result: Result = pool.result(backward_result, "hdemucs-plain", "float64", "eager")
    assert result.case == "hdemucs-plain backward"
    assert f"0 failed, {len(result.undecided)} not decided" in text.summary(result)
    assert 0 < len(result.undecided) < 10
    write_json(tmp_path / "result.json", [result])
    assert read_json(tmp_path / "result.json") == [result]
    write_html(tmp_path / "report.html", [result])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "hdemucs-plain backward" in page
    assert f"{len(result.undecided)} not decided" in page


def test_a_missing_gradient_is_missing_coverage() -> None:
    case = BY_NAME["demucs-dconv0"]
    backward = BACKWARD.stored_expected(case, None)
    blind = replace(
        SUBJECT,
        variables=lambda port: {
            key: pair
            for key, pair in SUBJECT.variables(port).items()  # type: ignore[misc]
            if key != "encoder.0.0.bias"
        },
    )
    port = make_port(case, "float64")
    result = checking.check_backward(blind, backward, port, "float64")
    assert result.verdict == "fail"
    assert "weight whose gradient is not compared: encoder.0.0.bias" in result.coverage.missing
    assert str(result.coverage.parameters) == "15/16"
    with pytest.raises(ParityError, match="give `variables` to compare gradients"):
        checking.check_backward(replace(SUBJECT, variables=None), backward, port, "float64")


@pytest.mark.parametrize(("dtype", "engine"), [("float64", "graph")])
@pytest.mark.parametrize("name", ["demucs-lstm", "htdemucs-plain"])
def test_gradients_in_a_graph(name: str, dtype: str, engine: Engine, pool: Pool) -> None:
    result: Result = pool.result(backward_result, name, dtype, engine)
    assert result.verdict == "pass", text.details(result)
