"""Records as one table: a row for each case, way and figure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

LIMIT = "limit/product"


@dataclass(frozen=True)
class Found:
    """What records say.

    `table` has the columns group, case, way, figure ("seconds", "peak" in bytes, or a stage in
    seconds), median, low, high (of the rounds), ratio, ratio_low, ratio_high (over `against`,
    within a round), gflops (median), share (of the machine's limit), realtime, snr_db, curve, at
    and rounds. `left_out` is why a way of a case did not run. `machines` are those of the records.
    """

    table: pd.DataFrame
    left_out: dict[tuple[str, str], str]
    machines: list[dict[str, Any]]
    limits: dict[str, float]  # GFLOP/s of large products, by way


def read(paths: Sequence[Path]) -> Found:
    """Read records.

    Raises:
        SystemExit: a file is none.
    """
    cases: dict[str, dict[str, Any]] = {}
    machines = []
    for path in paths:
        record = _loaded(path)
        about = {"datetime": record["datetime"], "commit": record.get("commit_info", {})}
        machines.append({**record["machine_info"], **about})
        for each in record["benchmarks"]:
            info = each["extra_info"]
            cases[info["case"]["name"]] = info
    limits = _limits(cases.get(LIMIT))
    rows = [row for info in cases.values() for row in _rows(info, max(limits.values(), default=0))]
    left_out = {
        (name, way): reason
        for name, info in cases.items()
        for way, reason in info["left_out"].items()
    }
    return Found(pd.DataFrame(rows), left_out, machines, limits)


def _loaded(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not all("rounds" in each["extra_info"] for each in record["benchmarks"]):
            raise KeyError("rounds")
        if not record["benchmarks"]:
            raise ValueError("no benchmark in it")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(
            f"{path}: expected what `python -m benchmarks run -o FILE` writes, found "
            f"something else ({type(error).__name__}: {error})."
        ) from error
    return record


def _limits(info: dict[str, Any] | None) -> dict[str, float]:
    if info is None:
        return {}
    rounds = pd.DataFrame([_seconds(each) for each in info["rounds"]])
    return {str(way): info["flop"] / 1e9 / value for way, value in rounds.median().items()}


def _seconds(each: dict[str, dict[str, float]]) -> dict[str, float]:
    return {way: figures["seconds"] for way, figures in each.items()}


def _rows(info: dict[str, Any], limit: float) -> Iterator[dict[str, Any]]:
    """pandas aligns by round: a row of `rounds` is a round, its columns are (way, figure)."""
    case, against = info["case"], info["against"]
    rounds = pd.DataFrame(
        [
            {(way, name): value for way, figures in each.items() for name, value in figures.items()}
            for each in info["rounds"]
        ]
    )
    for way, figure in sorted(rounds.columns, key=lambda each: case["ways"].index(each[0])):
        values = rounds[way, figure]
        row = {
            "group": case["name"].partition("/")[0],
            "case": case["name"],
            "way": way,
            "figure": figure,
            "median": values.median(),
            "low": values.min(),
            "high": values.max(),
            "against": against,
            "snr_db": info["snr_db"][way],
            "curve": case["curve"],
            "at": info["points"].get(way),
            "rounds": len(values),
        }
        if way != against and (against, figure) in rounds.columns:
            ratios = values / rounds[against, figure]
            row |= {
                "ratio": ratios.median(),
                "ratio_low": ratios.min(),
                "ratio_high": ratios.max(),
            }
        if figure == "seconds":
            row |= _speed(info, values.median(), limit)
        yield row


def _speed(info: dict[str, Any], seconds: float, limit: float) -> dict[str, float]:
    found = {}
    if info["flop"]:
        found["gflops"] = info["flop"] / 1e9 / seconds
        if limit:
            found["share"] = found["gflops"] / limit
    if info["audio"]:
        found["realtime"] = info["audio"] / seconds
    return found
