"""Goldens that are made on demand: once, and not for another row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from parity import run
from parity.cases import BY_NAME
from parity.core.events import Expected
from parity.core.result import ParityError

pytestmark = pytest.mark.live

CASE = replace(BY_NAME["demucs-dconv0"], name="demucs-cached", stored="cache")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    run.stored_expected.cache_clear()
    yield
    run.stored_expected.cache_clear()


def _content(expected: Expected) -> list[bytes]:
    return [a.tobytes() for e in expected.events for a in (*e.inputs, *e.outputs)]


def test_made_on_demand_and_read_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run.stored_expected(CASE, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "demucs-cached.json",
        "demucs-cached.npz",
    ]

    def fail(_: object) -> None:
        pytest.fail("the reference was run again")

    monkeypatch.setitem(vars(run.SUITE), "live_expected", fail)
    run.stored_expected.cache_clear()
    read = run.stored_expected(CASE, tmp_path)
    assert read is not made
    assert _content(read) == _content(made) != []
    result = run.run_case(CASE, "float64", mode="isolated", folder=tmp_path)
    assert result.verdict == "pass"

    changed = replace(CASE, length=CASE.length + 8)
    with pytest.raises(ParityError, match=r"another version .*capture --case demucs-cached$"):
        run.stored_expected(changed, tmp_path)


def test_lies_in_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    assert run.SUITE.golden(CASE).folder == tmp_path / "demucs_tf" / "golden"
    run.stored_expected(CASE)
    assert (tmp_path / "demucs_tf" / "golden" / "demucs-cached.json").exists()
