"""Holds results against a baseline: nothing may fail, vanish, or become much noisier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parity.core.files import json_file
from parity.core.files.atomic import write_whole
from parity.core.result import ParityError, Record, Result, worst_noise_ratio

# Machines round differently; a case's worst noise ratio may grow by this factor, and by this much
# in any case.
NOISE_FACTOR = 2.0
NOISE_SLACK = 1.0


def baseline_of(results: Sequence[Result]) -> dict[str, Any]:
    """What a baseline keeps of each case and dtype; of other engines than eager apart.

    Raises:
        ParityError: there is no result.
    """
    if not results:
        raise ParityError("There are no results to hold against a baseline.")
    return {_name(result): _kept(result) for result in results}


def _name(result: Result) -> str:
    engine = result.environment.get("engine", "eager")
    return " ".join([result.case, result.dtype, *([] if engine == "eager" else [engine])])


def _kept(result: Result) -> dict[str, Any]:
    return {
        "verdict": result.verdict,
        "comparisons": len(result.layers),
        "coverage": str(result.coverage),
        "worst_noise_ratio": worst_noise_ratio(result.layers),
    }


def write_baseline(path: Path, results: Sequence[Result]) -> None:
    """Write the baseline, whole or not at all."""
    text = json_file.text_of(baseline_of(results), indent=1, sort_keys=True)
    write_whole(path, text + "\n")


def read_baseline(path: Path) -> dict[str, Any]:
    """Read a baseline; ParityError for anything else."""
    try:
        baseline = dict(json_file.read(path).items())
        if not baseline:
            raise ValueError("it is empty")
        for entry in baseline.values():
            json_file.check(str, entry["verdict"])
            json_file.check(int, entry["comparisons"])
            entry["worst_noise_ratio"] = json_file.number(entry["worst_noise_ratio"])
            json_file.check(float, entry["worst_noise_ratio"])
    except json_file.DAMAGED as error:
        raise ParityError(
            f"{path} is no baseline ({error}): write one with `python -m parity gate RESULT.json "
            f"--baseline {path} --update`."
        ) from error
    return baseline


def regressions(
    results: Sequence[Result],
    baseline: dict[str, Any],
    place: Callable[[Record], str] = lambda record: record.path or "(model)",
) -> list[str]:
    """What got worse and at which `place` of a record, a line each; empty if nothing did."""
    by_name = {_name(result): result for result in results}
    found = baseline_of(results)
    lines = [f"{name}: in the baseline, but was not run" for name in baseline if name not in found]
    for name, now in found.items():
        before = baseline.get(name)
        if now["verdict"] != "pass":
            first = by_name[name].first_failure
            missing = by_name[name].coverage.missing
            where = f" at {place(first)}" if first else f": {missing[0]}" if missing else ""
            lines.append(f"{name}: fails{where}")
        if before is None:
            continue  # a new case is no regression
        if now["comparisons"] < before["comparisons"]:
            lines.append(f"{name}: {now['comparisons']} comparisons, were {before['comparisons']}")
        limit = max(NOISE_FACTOR * before["worst_noise_ratio"], NOISE_SLACK)
        if not now["worst_noise_ratio"] <= limit:
            noisiest = by_name[name].noisiest
            lines.append(
                f"{name}: worst noise ratio {now['worst_noise_ratio']:.2f}, "
                f"was {before['worst_noise_ratio']:.2f}"
                f"{f', at {place(noisiest)}' if noisiest else ''}"
            )
    return lines
