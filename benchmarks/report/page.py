"""`docs/benchmarks.md`, all of it: figures, how they were measured, and on what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from benchmarks.report.frame import Found
from benchmarks.report.lines import lines
from benchmarks.report.plots import Chart

HEAD = """# Benchmarks

Written by `python -m benchmarks report`; [CONTRIBUTING.md](../CONTRIBUTING.md#benchmarks) has the
commands, and [benchmarks.csv](benchmarks.csv) every figure.

Each case first verifies what comes out with the harness's comparator and is refused if it is wrong.
Then all ways take turns in one job. **Ratio** is time over that of the reference within the same
round: the median, and in parentheses the smallest and the largest; below 1 is faster than PyTorch.
**Share** is of the speed at which this machine multiplies large float32 matrices, by whichever
framework does it faster. SNR is that of the verification, against the reference.
"""

# Group of cases, heading, what to know.
SECTIONS = (
    ("limit", "The machine's limit", "Two matrices of 4096 x 4096, float32."),
    ("segment", "A segment", "One pass of a whole model over its segment."),
    ("bfloat16", "In bfloat16", "`--precision bfloat16` against float32, both here."),
    ("compiled", "Compiled", "XLA here, `torch.compile` there."),
    (
        "exported",
        "Exported files",
        "The same segment by the runtimes that run what `demucs-tf export` writes.",
    ),
    ("gpu", "On a GPU", "The same graph on the same card, float32 without TF32."),
    ("card", "On a GPU, by XLA alone", "TensorFlow's graph compiled by jaxlib's XLA, float32."),
    ("track", "Whole tracks", "`apply_model` of either side, without shifts."),
    (
        "command",
        "Commands",
        "`demucs-tf separate` and `demucs`, cold: the process starts, loads, separates and writes.",
    ),
    (
        "start",
        "A start, stage by stage",
        "Import, load, trace, and the rest of the first pass; the second pass is what is left. As "
        "in Python, and as in a command that has the graph of a run before.",
    ),
    (
        "length",
        "Over the length of a track",
        "Both commands with a small model: what grows with the length would grow with any.",
    ),
    ("batch", "Over the batch size", "Seconds are those of one segment."),
    ("threads", "Over the number of threads", "One segment, each way a process of its own."),
    (
        "layer",
        "Layers",
        "Each kind, on what it hears in a model of the published size over one segment.",
    ),
)


def text(found: Found, charts: Sequence[Chart]) -> str:
    """The whole page."""
    return "\n".join([HEAD, *_machine(found), *_sections(found, charts)])


def _machine(found: Found) -> Iterator[str]:
    yield "## What was measured on\n"
    for about in found.machines:
        cpu = about.get("cpu", {}).get("brand_raw", about.get("processor", "unknown"))
        load = about.get("load")
        yield (
            f"- {cpu}, {about.get('processors')} processors, {about.get('threads')} threads, "
            f"{about.get('system')}; on {about['datetime'][:10]}, with a load of "
            f"{'unknown size' if load is None else format(load, '.1f')} before it began"
        )
        versions = about.get("versions", {})
        yield "- " + ", ".join(f"{name} {version}" for name, version in versions.items())
        commit = about["commit"]
        changed = ", with changes" if commit.get("dirty") else ""
        yield f"- commit {(commit.get('id') or 'unknown')[:12]}{changed}"
        yield f"- `{' '.join(['python -m benchmarks run', *_own(about.get('arguments', []))])}`"
        if about.get("environment"):
            yield f"- environment: `{json.dumps(about['environment'])}`"
    yield ""


def _own(arguments: Sequence[str]) -> list[str]:
    """Those of the command, without those that it adds."""
    kept = {"-k": 1, "--threads": 1, "--full": 0, "--gpu": 0}
    found: list[str] = []
    for number, each in enumerate(arguments):
        if each in kept:
            found += [each, *(f"'{value}'" for value in arguments[number + 1 :][: kept[each]])]
    return found


def _sections(found: Found, charts: Sequence[Chart]) -> Iterator[str]:
    for group, heading, note in SECTIONS:
        rows = found.table[found.table["group"] == group]
        if rows.empty:
            continue
        yield f"## {heading}\n\n{note}\n"
        yield from _markdown(rows)
        for sentence in lines(rows):
            yield f"\n{sentence}"
        for (case, way), reason in found.left_out.items():
            if case.partition("/")[0] == group:
                yield f"\n{case.partition('/')[2]}: {way} was left out: {reason}."
        for chart in charts:
            if chart.name == group or (group, chart.name) in _CURVES:
                yield f"\n![{chart.title}](images/benchmarks-{chart.name}.png)"
        yield ""


_CURVES = {("length", "minutes"), ("length", "minutes-peak")}


def _markdown(rows: pd.DataFrame) -> Iterator[str]:
    columns = {name: make for name, (make, needs) in COLUMNS.items() if _has(rows, needs)}
    yield f"| {' | '.join(columns)} |"
    yield "|" + "|".join(["---"] * 2 + ["---:"] * (len(columns) - 2)) + "|"
    for row in rows.to_dict("records"):
        yield f"| {' | '.join(make(row) for make in columns.values())} |"


def _has(rows: pd.DataFrame, column: str) -> bool:
    if column == "figure":
        return bool((rows["figure"] != "seconds").any())
    return column in rows and bool(rows[column].notna().any())


def _value(row: dict[str, Any]) -> str:
    if row["figure"] == "peak":
        return f"{row['median'] / 1e6:.0f} MB"
    return f"{row['median'] * 1e3:.1f} ms" if row["median"] < 0.1 else f"{row['median']:.2f} s"


def _ratio(row: dict[str, Any]) -> str:
    if pd.isna(row["ratio"]):
        return "1"
    return f"**{row['ratio']:.2f}** ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"


def _number(column: str, form: str, factor: float = 1.0) -> Callable[[dict[str, Any]], str]:
    return lambda row: "" if pd.isna(row[column]) else form.format(row[column] * factor)


def _snr(row: dict[str, Any]) -> str:
    return "equal" if row["snr_db"] == float("inf") else f"{row['snr_db']:.0f} dB"


# Heading -> what stands there, and the column without which it is left out.
COLUMNS: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
    "what": (lambda row: str(row["case"].partition("/")[2]), "case"),
    "by": (lambda row: str(row["way"]), "way"),
    "figure": (lambda row: "time" if row["figure"] == "seconds" else str(row["figure"]), "figure"),
    "median": (_value, "median"),
    "ratio": (_ratio, "ratio"),
    "GFLOP/s": (_number("gflops", "{:.0f}"), "gflops"),
    "share": (_number("share", "{:.0f} %", 100), "share"),
    "x real time": (_number("realtime", "{:.1f}"), "realtime"),
    "SNR": (_snr, "snr_db"),
}
