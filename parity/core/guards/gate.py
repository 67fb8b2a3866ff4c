"""Holds results against a baseline: nothing may fail, vanish, or become much noisier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from parity.core.files import json_file
from parity.core.files.atomic import write_whole
from parity.core.result import ParityError, Record, Result, worst_noise_ratio

# Machines round differently; a case's worst noise ratio may grow by this factor, and by this much
# in any case.
NOISE_FACTOR = 2.0
NOISE_SLACK = 1.0
NAMED = 3  # of those that were not run


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
            f"{path} is no baseline ({json_file.reason(error)}): write one with "
            f"`python -m parity gate RESULT.json --baseline {path} --update`."
        ) from error
    return baseline


def regressions(
    results: Sequence[Result],
    baseline: dict[str, Any],
    place: Callable[[Record], str] = lambda record: record.path or "(model)",
    names: int | None = NAMED,
) -> list[str]:
    """What got worse and at which `place` of a record, failures first; empty if nothing did.

    One line a result, and one for all that was not run, with the first `names` (None: all).
    """
    by_name = {_name(result): result for result in results}
    found = baseline_of(results)
    worse = [
        f"{name}: {'; '.join(reasons)}"
        for name in sorted(found, key=lambda name: found[name]["verdict"] == "pass")
        if (reasons := list(_worse(by_name[name], found[name], baseline.get(name), place)))
    ]
    left = [name for name in baseline if name not in found]
    if left:
        more = f" and {len(left) - names} more (-v)" if names and len(left) > names else ""
        worse.append(
            f"not run: {len(left)} of {len(baseline)} in the baseline: "
            f"{', '.join(left[:names])}{more}"
        )
    return worse


def _worse(
    result: Result,
    now: dict[str, Any],
    before: dict[str, Any] | None,
    place: Callable[[Record], str],
) -> Iterator[str]:
    """What is wrong with a result that was `before`; a new one (None) may only fail."""
    first, missing, noisiest = result.first_failure, result.coverage.missing, result.noisiest
    if now["verdict"] != "pass":
        yield "fails" + (f" at {place(first)}" if first else f": {missing[0]}" if missing else "")
    if before is None:
        return
    if now["comparisons"] < before["comparisons"]:
        yield f"{now['comparisons']} comparisons, were {before['comparisons']}"
    noise, limit = now["worst_noise_ratio"], before["worst_noise_ratio"]
    if not noise <= max(NOISE_FACTOR * limit, NOISE_SLACK):
        where = f", at {place(noisiest)}" if noisiest and noisiest is not first else ""
        yield f"worst noise ratio {noise:.2f}, was {limit:.2f}{where}"
