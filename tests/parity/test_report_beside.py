"""What results stand beside on the page: engines, baseline, mutants, source lines, borders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.cases import BY_NAME
from parity.core.guards import gate
from parity.core.kept.portrait import portrait_of
from parity.core.result import ParityError, Result, write_json
from parity.report import beside, lines, pictures
from parity.report.sound import heard
from parity.run import run_case
from tests.parity.test_report import _no_bundle, record, result, write

__all__ = ["_no_bundle"]

Call = Callable[..., tuple[str, str]]


def ran(engine: str, noise: float, **changes: Any) -> Result:
    """A case that an engine ran."""
    layers = (record(noise_ratio=9.0), record(mode="cumulative", noise_ratio=noise, **changes))
    return result(*layers, case="one", environment={"engine": engine})


def test_engines_stand_side_by_side() -> None:
    runs = [ran("eager", 1.25), ran("xla", 3.5, verdict="fail"), result(record(), case="two")]
    [table] = beside.engines(runs)
    assert table.header == ("Case", "dtype", "eager", "xla")
    assert table.rows == (("one", "float32", "1.25", "fail 3.50"), ("two", "float32", "", ""))
    assert table.numeric == [False, False, True, True]
    assert beside.engines(runs[:1]) == beside.engines([]) == []


def test_kinds_are_held_against_the_baseline() -> None:
    before = gate.baseline_of([ran("eager", 1.5), ran("xla", 2.0)])
    [table] = beside.baseline([ran("eager", 6.0), ran("xla", 2.0)], before)
    assert table.rows == (
        ("Conv1d", "cumulative", "6.00", "1.50", "fail 4.00", "one float32"),
        ("Conv1d", "isolated", "9.00", "9.00", "1.00", "one float32 xla"),
    )
    assert beside.baseline([replace(ran("eager", 1.0), case="new")], before) == []
    assert beside.baseline([], before) == []


PLANTED = [
    {"fault": name, "dtype": "float32", "mode": "isolated", "killed": killed, "placed": placed}
    for name, killed, placed in (("a", True, True), ("b", True, False), ("c", False, False))
]
MACHINE = [
    {"fate": fate, "mutant": {"kind": "operator", "function": "f", "before": "a", "after": "b"}}
    for fate in ("killed", "killed", "crashed", "survived")
]


def test_mutants_are_counted(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps(PLANTED))
    [planted] = beside.mutants(tmp_path / "m.json")
    assert planted.rows == (("float32", "isolated", "3", "1", "1", "1", "b, c"),)
    (tmp_path / "m.json").write_text(json.dumps(MACHINE))
    [machine] = beside.mutants(tmp_path / "m.json")
    assert machine.rows == (("operator", "4", "2", "1", "0", "1", "f: a → b"),)


@pytest.mark.parametrize("content", ["[]", "{}", "[1]", '[{"fault": "x"}]', '[{"fate": "x"}]', "x"])
def test_what_is_no_list_of_mutants_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(ParityError, match=r"m\.json is no result of `python -m parity mutate"):
        beside.mutants(tmp_path / "m.json")


@pytest.mark.usefixtures("_no_bundle")
def test_the_command_draws_several_results(tmp_path: Path, call: Call) -> None:
    paths = [tmp_path / f"{engine}.json" for engine in ("eager", "xla")]
    for path in paths:
        write_json(path, [ran(path.stem, 2.0)])
    gate.write_baseline(tmp_path / "b.json", gate.baseline_of([ran("eager", 1.9)]))
    (tmp_path / "m.json").write_text(json.dumps(MACHINE))
    page = tmp_path / "page.html"
    call("report", *paths, "--html", page, "--baseline", tmp_path / "b.json",
         "--mutants", tmp_path / "m.json")  # fmt: skip
    text = page.read_text(encoding="utf-8")
    titles = ("Engines side by side", "Against the baseline", "Machine-made mutants")
    assert all(f">{title}</h2>" in text for title in titles)
    _, err = call("report", *paths, "--html", page, "--baseline", tmp_path / "x.json", status=2)
    assert "x.json is no baseline" in err


def test_lines_of_both_sides_are_quoted() -> None:
    found = lines.excerpts(["demucs_tf/errors.py:1", "demucs_tf/layers/conv.py:9999", "x.py:1"])
    assert found == {}, "what is not the models', or not there"
    place = lines.port_of(result(record()), record())
    shown = lines.excerpts([place])[place]
    assert shown["lines"][shown["here"] - shown["first"]].strip().startswith("def call(")
    assert len(shown["lines"]) <= lines.BEFORE + lines.AFTER + 1
    other = replace(result(record()), reference="transformers.EncodecModel")
    assert lines.port_of(other, record()) == ""


def _drawn() -> Result:
    """Three tensors with portraits, the last the worst."""
    noise = np.random.default_rng(0).normal
    records = [record(f"layer.{i}", rel_l2=1e-8 * 10**i) for i in range(3)]
    portraits = [
        portrait_of(noise(size=(32, 96)), noise(size=(32, 96)), "", each.path, 0, 0, each.mode)
        for each in records
    ]
    return result(record("w", kind="parameter"), *records, portraits=tuple(filter(None, portraits)))


def test_the_worst_pictures_come_first() -> None:
    whole = pictures.of_errors([result(record()), _drawn()])
    assert [list(found) for found in whole] == [[], [3, 2, 1]]
    length = len(whole[1][3][4])
    assert length < 3500
    [_, some] = pictures.of_errors([result(record()), _drawn()], room=length + 200)
    assert list(some) == [3]
    assert sum(some[3][6]) == 32 * 96


@pytest.mark.usefixtures("_no_bundle")
def test_the_page_has_them(tmp_path: Path) -> None:
    page = write(tmp_path, _drawn())
    assert list(page.embedded["case-0-drawn"]["portraits"]) == ["3", "2", "1"]


def test_borders_of_chunks_are_shown() -> None:
    """0.11 s at 1000 Hz with an overlap of a half: a chunk begins every 55 samples."""
    found = run_case(BY_NAME["apply-hdemucs-segment"], "float32").sound
    assert found is not None
    assert found.borders == tuple(range(55, 613, 55))
    first = heard(found).stems[0]
    assert first.borders[0] == pytest.approx(239 * 55 / 613, abs=0.1)
    shifted = run_case(BY_NAME["apply-hdemucs"], "float32").sound
    assert shifted is not None
    assert shifted.borders == (), "with shifts they lie elsewhere in each"


def test_without_a_page_the_worst_tensors_alone_are_drawn() -> None:
    few = run_case(BY_NAME["demucs-dconv0"], "float32").portraits
    assert len(few) == 8
    many = run_case(BY_NAME["demucs-dconv0"], "float32", draw=True).portraits
    assert len(many) > 60
    assert few == many[:8]
