"""`python -m parity verify`, `diff`, `coverage`: what is said of goldens without running them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from parity.cases import BY_NAME
from parity.run import SUITE, golden_folder
from tests.parity.conftest import Call

CASE = "demucs-dconv0"
OTHER = "demucs-lstm"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in golden_folder().glob(f"{CASE}.*"):
        shutil.copy(path, folder)
    return folder


def _moved(folder: Path, by: float) -> None:
    """A golden of another reference: one output is `by` of itself larger."""
    expected = SUITE.golden(BY_NAME[CASE], folder).read()
    event = next(event for event in expected.events if event.path == "encoder.0.0")
    event.outputs[0] = event.outputs[0] * (1 + by)
    SUITE.golden(BY_NAME[CASE], folder).write(expected)


def test_verify(copy: Path, call: Call) -> None:
    assert call("verify", "--case", CASE, "--golden", copy)[0] == "1 goldens, 0 problems\n"
    (copy / "stray.npz").write_bytes(b"")
    out, _ = call("verify", "--golden", copy, status=1)
    assert f"{OTHER}.json is missing" in out
    assert "stray.npz belongs to no case" in out
    path = copy / f"{CASE}.npz"
    path.write_bytes(path.read_bytes()[:-100])
    out, _ = call("verify", "--case", CASE, "--golden", copy, status=1)
    assert f"{CASE}.npz" in out
    assert out.endswith("1 goldens, 1 problems\n")


def test_all_goldens_are_intact(call: Call) -> None:
    out, _ = call("verify")
    assert out.endswith(" 0 problems\n")
    assert int(out.split()[0]) > 100


@pytest.mark.parametrize(("by", "status"), [(0.0, 0), (1e-15, 0), (1e-9, 1)])
def test_diff(copy: Path, call: Call, by: float, status: int) -> None:
    _moved(copy, by)
    out, _ = call("diff", golden_folder(), copy, "--case", CASE, status=status)
    assert out.startswith(f"{'DIFFERS' if status else 'equal':8} {CASE}: ")
    assert ("encoder.0.0 call 0: relative L2 1e-09" in out) == bool(status)
    assert out.endswith(f"1 cases, {status} differ\n")
    assert np.sign(by) == ("relative L2 0\n" not in out)


def test_diff_of_other_sets(copy: Path, tmp_path: Path, call: Call) -> None:
    out, _ = call("diff", golden_folder(), copy, status=1)
    assert f"DIFFERS  {OTHER}: only in {golden_folder()}" in out
    assert f"equal    {CASE}: worst relative L2 0" in out
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no golden of any case" in call("diff", empty, empty, status=2)[1]
    assert "expected a folder of goldens" in call("diff", tmp_path / "none", copy, status=2)[1]


def test_coverage(call: Call) -> None:
    """Every step that the subject knows is heard by some case."""
    out, _ = call("coverage")
    lines = out.splitlines()
    assert not [line for line in lines if line.startswith("not heard")]
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert int(rows["HEncLayer:glu"][0]) >= 10
    part, _ = call("coverage", "--case", CASE)
    assert "not heard: HDemucs:stft" in part
