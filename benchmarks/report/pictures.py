"""Draws charts: as PNG by matplotlib for the docs, and by Plotly for a browser."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report.plots import Chart
from parity.core.files.atomic import write_whole

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Benchmarks of demucs_tf</title>
<style>body {{ font: 16px system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;
padding: 0 1rem }} table {{ border-collapse: collapse; font-size: 13px }}
td, th {{ padding: 2px 8px; text-align: right; border-bottom: 1px solid #ddd }}
div.wide {{ overflow-x: auto }}</style></head>
<body><h1>Benchmarks of demucs_tf</h1>{charts}<h2>All figures</h2><div class="wide">{table}</div>
</body></html>
"""


def png(chart: Chart, path: Path) -> Path:
    """Write a picture, and give its path."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    tall = 1.2 + 0.26 * len(chart.rows) if chart.kind == "dots" else 3.6
    tall = 2.4 if chart.kind == "stack" else tall
    figure, axes = pyplot.subplots(figsize=(9, tall), layout="constrained")
    _DRAWN[chart.kind](axes, chart)
    axes.set_title(chart.title, loc="left", fontsize=11)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))  # beside what is drawn
    axes.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    write_whole(path, content.getvalue())
    return path


def _dots(axes: Any, chart: Chart) -> None:
    names = list(dict.fromkeys(chart.rows["name"]))
    several = _by_series(chart)
    for number, (name, rows) in enumerate(several):
        shift = 0.6 * ((number + 0.5) / len(several) - 0.5)
        places = np.array([names.index(each) for each in rows["name"]]) + shift
        errors = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        axes.errorbar(rows["value"], places, xerr=errors, fmt="o", ms=4, lw=0.9, label=name)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"{chart.unit}, below 1 is faster")
    axes.axvline(1.0, color="black", lw=0.8)


def _stack(axes: Any, chart: Chart) -> None:
    wide = chart.rows.pivot(index="name", columns="series", values="value").fillna(0.0)
    wide = wide[list(dict.fromkeys(chart.rows["series"]))]
    left = np.zeros(len(wide))
    for name in wide:
        axes.barh(wide.index, wide[name], 0.6, left=left, label=name)
        left += wide[name].to_numpy()
    axes.set_xlabel(chart.unit)


def _lines(axes: Any, chart: Chart) -> None:
    for name, rows in _by_series(chart):
        errors = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        axes.errorbar(rows["name"], rows["value"], yerr=errors, marker="o", label=name, capsize=2)
    axes.set_xlabel(chart.axis)
    axes.set_ylabel(chart.unit)
    axes.set_ylim(bottom=0)


_DRAWN = {"dots": _dots, "stack": _stack, "lines": _lines}


def html(charts: list[Chart], table: pd.DataFrame) -> str:
    """All charts and the table as one page, which needs no network."""
    from plotly.io import to_html

    parts = [
        to_html(_plotly(chart), full_html=False, include_plotlyjs=number == 0)
        for number, chart in enumerate(charts)
    ]
    shown = table.to_html(index=False, float_format=lambda value: f"{value:.4g}", na_rep="")
    return _PAGE.format(charts="\n".join(parts), table=shown)


def _plotly(chart: Chart) -> Any:
    from plotly import graph_objects as go

    figure = go.Figure()
    for name, rows in _by_series(chart):
        x, y = rows["name"], rows["value"]
        if chart.kind == "lines":
            figure.add_scatter(x=x, y=y, error_y=_spread(rows), name=name)
        elif chart.kind == "dots":
            figure.add_scatter(x=y, y=x, error_x=_spread(rows), name=name, mode="markers")
        else:
            figure.add_bar(x=y, y=x, name=name, orientation="h")
    tall = 420 if chart.kind == "lines" else 200 + 22 * len(chart.rows)
    figure.update_layout(title=chart.title, barmode="stack", height=tall)
    if chart.kind == "lines":
        figure.update_xaxes(title=chart.axis)
        figure.update_yaxes(title=chart.unit, rangemode="tozero")
        return figure
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title=chart.unit)
    if chart.kind == "dots":
        figure.update_xaxes(type="log", title="ratio, below 1 is faster")
        figure.add_vline(x=1)
    return figure


def _spread(rows: pd.DataFrame) -> dict[str, Any]:
    above, below = rows["high"] - rows["value"], rows["value"] - rows["low"]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below}


def _by_series(chart: Chart) -> Any:
    return chart.rows.groupby("series", sort=False)
