"""What is drawn: each picture as data, which `pictures.py` draws in two ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pandas as pd

# Groups in the order of the page.
GROUPS = ("segment", "bfloat16", "compiled", "exported", "gpu", "track", "command", "layer")
STAGES = ("import", "load", "trace", "first pass", "second pass")
AXES = {
    "minutes": "minutes of audio",
    "batch": "segments in one pass",
    "threads": "threads",
}


@dataclass(frozen=True)
class Chart:
    """One picture.

    `rows` has the columns name, series, value, and low and high where there is a spread. "dots" are
    ratios, on a logarithmic axis, with a line where both are as fast; "stack" are bars on each
    other; both have `name` at their side. "lines" have numbers in `name`.
    """

    name: str
    title: str
    kind: Literal["dots", "stack", "lines"]
    unit: str
    rows: pd.DataFrame
    axis: str = ""


def charts(table: pd.DataFrame) -> list[Chart]:
    """Those for which there are figures."""
    return [*_ratios(table), *_stages(table), *_curves(table)]


def _ratios(table: pd.DataFrame) -> Iterator[Chart]:
    seconds = table[(table["figure"] == "seconds") & (table["curve"] == "")]
    if "ratio" not in seconds:
        return
    for group in GROUPS:
        rows = seconds[(seconds["group"] == group) & seconds["ratio"].notna()]
        if rows.empty:
            continue
        drawn = pd.DataFrame(
            {
                "name": rows["case"].str.partition("/")[2],
                "series": rows["way"],
                "value": rows["ratio"],
                "low": rows["ratio_low"],
                "high": rows["ratio_high"],
            }
        )
        other = rows["against"].iloc[0]
        yield Chart(group, f"{group}: time over that of {other}", "dots", "ratio", drawn)


def _stages(table: pd.DataFrame) -> Iterator[Chart]:
    rows = table[(table["group"] == "start") & table["figure"].isin(STAGES)]
    if not rows.empty:
        drawn = pd.DataFrame(
            {"name": rows["way"], "series": rows["figure"], "value": rows["median"]}
        )
        yield Chart("start", "a start, stage by stage", "stack", "seconds", drawn)


def _curves(table: pd.DataFrame) -> Iterator[Chart]:
    for curve, axis in AXES.items():
        for figure, unit, factor in (("seconds", "seconds", 1.0), ("peak", "peak MB", 1e-6)):
            rows = table[(table["curve"] == curve) & (table["figure"] == figure)]
            if rows.empty:
                continue
            drawn = pd.DataFrame(
                {
                    "name": rows["at"],
                    "series": rows["way"].str.split().str[0],
                    "value": rows["median"] * factor,
                    "low": rows["low"] * factor,
                    "high": rows["high"] * factor,
                }
            )
            models = rows["case"].str.partition("/")[2]
            several = models.nunique() > 1 and curve != "minutes"
            if several:
                drawn["series"] += " " + models
            name = curve if figure == "seconds" else f"{curve}-{figure}"
            title = f"{unit} over {axis}"
            yield Chart(name, title, "lines", unit, drawn.sort_values("name"), axis)
