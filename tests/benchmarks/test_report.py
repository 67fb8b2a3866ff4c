"""From records to a table, pictures and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.report import write
from benchmarks.report.frame import read
from benchmarks.report.lines import lines
from tests.benchmarks.fakes import info, seconds, write_record

GFLOP = 1e9
LIMIT = info("limit/product", [seconds(graph=0.5, torch=1.0)] * 3, flop=100 * GFLOP)
SEGMENT = info(
    "segment/htdemucs",
    [seconds(graph=1.0, torch=2.0), seconds(graph=1.0, torch=4.0), seconds(graph=3.0, torch=4.0)],
    flop=100 * GFLOP,
    audio=8.0,
    left_out={"xla": "it is not there"},
)


def _row(tmp_path: Path, case: str, way: str, *infos: dict[str, Any]) -> Any:
    table = read([write_record(tmp_path / "record.json", *infos)]).table
    [row] = table[(table["case"] == case) & (table["way"] == way)].to_dict("records")
    return row


def test_ratios_are_taken_within_rounds(tmp_path: Path) -> None:
    row = _row(tmp_path, "segment/htdemucs", "graph", LIMIT, SEGMENT)
    assert (row["ratio_low"], row["ratio"], row["ratio_high"]) == (0.25, 0.5, 0.75)
    assert (row["low"], row["median"], row["high"]) == (1.0, 1.0, 3.0)


def test_speed_is_held_to_the_faster_frameworks_limit(tmp_path: Path) -> None:
    row = _row(tmp_path, "segment/htdemucs", "graph", LIMIT, SEGMENT)
    assert row["gflops"] == 100
    assert row["share"] == 0.5  # of 200
    assert row["realtime"] == 8


def test_the_last_record_of_a_case_counts(tmp_path: Path) -> None:
    paths = [
        write_record(tmp_path / "old.json", LIMIT, info(SEGMENT["case"]["name"], [seconds(a=9)])),
        write_record(tmp_path / "new.json", SEGMENT),
    ]
    found = read(paths)
    assert sorted(found.table["case"].unique()) == ["limit/product", "segment/htdemucs"]
    assert set(found.table["way"]) == {"graph", "torch"}


def _over_lengths(*points: tuple[float, float]) -> list[dict[str, Any]]:
    return [
        info(
            f"length/{minutes:g} minutes",
            [{"demucs-tf": {"seconds": time, "peak": 5e8}}],
            curve="minutes",
            points={"demucs-tf": minutes},
        )
        for minutes, time in points
    ]


def test_a_line_over_the_length(tmp_path: Path) -> None:
    straight = _over_lengths((1, 12), (2, 14), (30, 70))
    found = list(lines(read([write_record(tmp_path / "a.json", *straight)]).table))
    assert found[0] == (
        "demucs-tf, time: 10 s and 2 s for each minute, R² 1.0000, over 1 to 30 minutes."
    )
    assert found[1].startswith("demucs-tf, peak: 500 MB and ")
    bent = _over_lengths((1, 1), (15, 225), (30, 900))
    (sentence,) = [
        x for x in lines(read([write_record(tmp_path / "b.json", *bent)]).table) if "time" in x
    ]
    squared = np.corrcoef((1, 15, 30), (1, 225, 900))[0, 1] ** 2
    assert f"R² {squared:.4f}" in sentence
    two = read([write_record(tmp_path / "c.json", *straight[:2])]).table
    assert list(lines(two)) == []


def test_everything_is_written(tmp_path: Path) -> None:
    stages = {"seconds": 9.0, "import": 2.0, "load": 1.0, "first pass": 3.0, "second pass": 1.0}
    start = info("start/htdemucs", [{"demucs-tf": {**stages, "trace": 1.0}, "demucs": stages}])
    lengths = [
        info(
            f"length/{minutes} minutes",
            [{way: {"seconds": minutes, "peak": 1e8} for way in ("demucs-tf", "demucs")}],
            curve="minutes",
            points={"demucs-tf": minutes, "demucs": minutes},
        )
        for minutes in (1.0, 2.0)
    ]
    record = write_record(tmp_path / "record.json", LIMIT, SEGMENT, start, *lengths)
    old = tmp_path / "docs" / "images" / "benchmarks-of-before.png"
    old.parent.mkdir(parents=True)
    old.touch()
    paths = write([record], tmp_path / "docs", tmp_path / "page.html")
    assert not old.exists()
    names = sorted(path.name for path in paths)
    pictures = [f"benchmarks-{n}.png" for n in ("minutes-peak", "minutes", "segment", "start")]
    assert names == sorted(["benchmarks.csv", "benchmarks.md", "page.html", *pictures])
    assert all(path.stat().st_size > 1000 for path in paths if path.suffix != ".csv")
    page = (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    row = "| htdemucs | graph | 1.00 s | **0.50** (0.25 to 0.75) | 100 | 50 % | 8.0 | 120 dB |"
    assert row in page
    assert "A Processor, 2 processors, 2 threads" in page
    assert "tensorflow 2.21.0" in page
    assert "`python -m benchmarks run --full -k 'a or b'`" in page
    assert "htdemucs: xla was left out: it is not there." in page
    assert "/somewhere" not in page
    assert all(f"](images/{name})" in page for name in pictures)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"benchmarks": []}', '{"benchmarks": [{"extra_info": {}}]}']
)
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(content)
    with pytest.raises(SystemExit, match=r"record.json: expected what `python -m benchmarks run"):
        main(["report", str(path), "--docs", str(tmp_path)])
    assert [each.name for each in tmp_path.iterdir()] == ["record.json"]
