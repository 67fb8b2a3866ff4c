"""The negative control: a run whose comparator passes a spoiled port is no run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from parity import run
from parity.cases import BY_NAME
from parity.core import judge
from parity.core.result import ParityError
from tests.parity.conftest import Call


@pytest.mark.parametrize("name", ["demucs-dconv0", "hdemucs-masks", "htdemucs-plain"])
def test_a_spoiled_call_is_found(name: str) -> None:
    path = run.control([BY_NAME[name]])
    assert path in {event.path for event in run.stored_expected(BY_NAME[name]).events}


def test_whole_tracks_are_controlled_by_a_model() -> None:
    assert run.control([BY_NAME["apply-track"]])


def test_a_comparator_that_passes_everything_is_red(
    monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    compare = judge.compare

    def blind(*arguments: Any, **options: Any) -> Any:
        return replace(compare(*arguments, **options), passed=True, reason="")

    monkeypatch.setattr(judge, "compare", blind)
    with pytest.raises(ParityError, match=r"negative control: what .* 1% larger, and that passed"):
        run.control()
    out, err = call("run", "--case", "demucs-dconv0", "--dtype", "float32", status=2)
    assert "No verdict of this run counts" in err
    assert "PASS" not in out
