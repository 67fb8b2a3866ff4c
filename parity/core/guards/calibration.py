"""How far right computations are apart: the worst errors over settings, which carry the tolerances.

Every setting is a run of all cases. A tolerance has to hold in all of them, and may not be so wide
that it would hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parity.core import tolerances
from parity.core.files import json_file
from parity.core.files.atomic import write_whole
from parity.core.result import ParityError, Record, Result
from parity.core.subject import Subject

SCHEMA = 1
# What a processor may do, as TensorFlow's and oneDNN's settings.
_THREADS = {f"{n} thread{'s' * (n > 1)}": {"TF_NUM_INTRAOP_THREADS": str(n)} for n in (1, 2)}
_KERNELS = {
    "oneDNN": {},
    "oneDNN with AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "no oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}
# Graphs change the pass as a whole; a layer by itself runs eagerly.
ENGINES = {"eager": "both", "graph": "cumulative", "xla": "cumulative"}
SETTINGS: dict[str, tuple[str, dict[str, str]]] = {
    f"{engine}, {threads}, {kernels}": (engine, {**some, **more})
    for engine in ENGINES
    for threads, some in _THREADS.items()
    for kernels, more in _KERNELS.items()
}
# A tolerance may be this many times the worst that was ever seen; beyond, it says nothing.
VACUOUS = 20.0
BEGIN, END = "<!-- calibrate -->", "<!-- /calibrate -->"


def rule_of(subject: Subject, record: Record) -> str:
    """What a record was held to: "float32, isolated", and the name of a tap that has its own."""
    if record.path == "":
        return f"{record.dtype}, output"
    if record.mode == "cumulative":
        return f"{record.dtype}, inside a pass"
    name = record.path.rpartition(":")[2] if record.kind == "tap" else ""
    own = name in subject.ceilings or (name in subject.inexact and record.dtype == "float64")
    return f"{record.dtype}, isolated" + (f", {name}" if own else "")


def condensed(subject: Subject, results: Sequence[Result]) -> dict[str, Any]:
    """What is kept of a run: how much it compared, what failed, and the worst of each rule."""
    rules: dict[str, Any] = {}
    compared, failed = 0, []
    for result in results:
        for record in result.layers:
            if record.verdict == "fail":
                failed.append(f"{result.case} {record.dtype} {record.mode} {record.path}")
            if record.kind == "parameter" or record.noise_ratio is None or not record.tolerance:
                continue
            compared += 1
            rule, share = rule_of(subject, record), record.share or 0.0
            if share >= rules.get(rule, {}).get("share", 0.0):
                rules[rule] = {
                    "share": float(f"{share:.3g}"),
                    "noise_ratio": float(f"{record.noise_ratio:.3g}"),
                    "case": result.case,
                    "place": record.path or "(model)",
                }
    if not compared:
        raise ParityError("The run compared nothing, and calibrates nothing.")
    return {"compared": compared, "failed": failed, "rules": rules}


def worst(runs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The worst of each rule over all runs, and the setting that saw it."""
    found: dict[str, dict[str, Any]] = {}
    for setting, run in runs.items():
        for rule, entry in run["rules"].items():
            if rule not in found or entry["share"] > found[rule]["share"]:
                found[rule] = {**entry, "setting": setting}
    return dict(sorted(found.items()))


def problems(calibration: Mapping[str, Any]) -> list[str]:
    """What is wrong: false alarms, tolerances that hold anything, factors that have changed."""
    runs = calibration["runs"]
    found = [
        f"false alarm with {name}: {each}" for name, run in runs.items() for each in run["failed"]
    ]
    for rule, entry in worst(runs).items():
        if entry["share"] < 1 / VACUOUS:
            found.append(
                f"the tolerance {rule} is vacuous: the worst error ever seen is "
                f"{entry['share']:.2g} of it ({entry['case']}, {entry['place']})."
            )
    if calibration["factors"] != tolerances.factors():
        found.append(
            f"the factors are {tolerances.factors()} and were {calibration['factors']} when it was "
            "measured: run `python -m parity calibrate`."
        )
    return found


def table(calibration: Mapping[str, Any]) -> str:
    """The worst of each rule as Markdown."""
    rows = [
        "| rule | worst share of the bound | noise ratio there | where | setting |",
        "|---|---|---|---|---|",
    ]
    for rule, entry in worst(calibration["runs"]).items():
        place = f"`{entry['case']}`, `{entry['place']}`"
        rows.append(
            f"| {rule} | {entry['share']:.2f} | {entry['noise_ratio']:.3g} | {place} "
            f"| {entry['setting']} |"
        )
    return "\n".join(rows) + "\n"


def page(text: str, calibration: Mapping[str, Any]) -> str:
    """A Markdown page with the table, and what is missing, between its two `calibrate` marks."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ParityError(f"Expected {BEGIN} and, behind it, {END}: the table goes between them.")
    inside = table(calibration)
    missing = sorted(SETTINGS.keys() - calibration["runs"].keys())
    if missing:
        inside += "\nNot measured yet:\n\n" + "".join(f"- {name}\n" for name in missing)
    return f"{before}{BEGIN}\n\n{inside}\n{END}{after}"


def write(path: Path, calibration: Mapping[str, Any]) -> None:
    """Write it, whole or not at all, a line for each run."""
    head = {"factors": calibration["factors"], "schema": SCHEMA}
    write_whole(path, json_file.by_line(head, "runs", calibration["runs"]))


def read(path: Path) -> dict[str, Any]:
    """Read it; ParityError for anything else."""
    try:
        found = json_file.read(path)
        if found["schema"] != SCHEMA:
            raise ValueError(f"expected schema {SCHEMA}, found {found['schema']!r:.40}")
        json_file.check(dict, found["factors"], found["runs"])
        for run in found["runs"].values():
            json_file.check(int, run["compared"])
            json_file.check(str, *run["failed"])
            for entry in run["rules"].values():
                json_file.check(float, entry["share"], entry["noise_ratio"])
                json_file.check(str, entry["case"], entry["place"])
    except json_file.DAMAGED as error:
        raise ParityError(
            f"{path} is no calibration ({json_file.reason(error)}): make it anew with "
            "`python -m parity calibrate`."
        ) from error
    return dict(found)
