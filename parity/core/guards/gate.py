"""Holds results against a baseline: nothing may fail, vanish, or become noisier.

A baseline has, for each case and kind of layer, the largest noise ratio that several runs saw
(other numbers of threads, other instructions), and how far those runs were apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parity.core.files import json_file
from parity.core.files.atomic import write_whole
from parity.core.result import ParityError, Record, Result, worst_noise_ratio

SCHEMA = 2
# Of one run alone nobody knows how far another is; this is more than any spread that was measured.
UNKNOWN_SPREAD = 2.0
SPREAD_AT = 99.9  # percent of all kinds of all cases: what rarer ones do is luck, not rounding
SLACK = 1.0  # a noise ratio below this is never too large: the port is as exact as the reference
COUNTS = 5  # in a coverage: modules, calls, taps, parameters, buffers
NAMED = 3  # of those that were not run

Kinds = dict[str, float]


def baseline_of(*runs: Sequence[Result]) -> dict[str, Any]:
    """What a baseline keeps of one or more runs of the same cases.

    Raises:
        ParityError: a run has no result.
    """
    if not all(runs) or not runs:
        raise ParityError("There are no results to hold against a baseline.")
    entries: dict[str, Any] = {}
    spreads = []
    for result in (result for run in runs for result in run):
        now = _kept(result)
        before = entries.setdefault(_name(result), now)
        if before is not now:
            both = before["kinds"].keys() & now["kinds"].keys()
            spreads += [_apart(before["kinds"][kind], now["kinds"][kind]) for kind in both]
            kinds = {k: _larger(before["kinds"], now["kinds"], k) for k in before["kinds"]}
            entries[_name(result)] = {**now, "kinds": {**now["kinds"], **kinds}}
    spread = float(np.percentile(spreads, SPREAD_AT)) if spreads else UNKNOWN_SPREAD
    return {"schema": SCHEMA, "spread": round(spread, 3), "results": entries}


def _apart(a: float, b: float) -> float:
    low, high = sorted((max(a, SLACK), max(b, SLACK)))
    return high / low


def _larger(before: Kinds, now: Kinds, kind: str) -> float:
    return max(before[kind], now.get(kind, 0.0))


def _name(result: Result) -> str:
    engine = result.environment.get("engine", "eager")
    return " ".join([result.case, result.dtype, *([] if engine == "eager" else [engine])])


def _kept(result: Result) -> dict[str, Any]:
    return {
        "verdict": result.verdict,
        "comparisons": result.decided.compared,
        "coverage": str(result.coverage),
        "kinds": _by_kind(result),
    }


def _by_kind(result: Result) -> Kinds:
    return {
        kind: float(f"{worst_noise_ratio(records):.3g}")
        for kind, records in _records(result).items()
    }


def _records(result: Result) -> dict[str, list[Record]]:
    """The records of each kind of layer in each mode."""
    found: dict[str, list[Record]] = {}
    for record in result.layers:
        if record.kind != "parameter":
            found.setdefault(f"{record.step_or_class}, {record.mode}", []).append(record)
    return found


def with_kept(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """A new baseline of some cases, with what an old one has of all others, and its spread."""
    return {**old, "results": {**old["results"], **new["results"]}}


def write_baseline(path: Path, baseline: Mapping[str, Any]) -> None:
    """Write a baseline, a line for each case, whole or not at all."""
    head = dict(baseline)
    results = head.pop("results")
    write_whole(path, json_file.by_line(head, "results", results))


def read_baseline(path: Path) -> dict[str, Any]:
    """Read a baseline; ParityError for anything else."""
    try:
        baseline = json_file.read(path)
        if baseline["schema"] != SCHEMA:
            raise ValueError(f"expected schema {SCHEMA}, found {baseline['schema']!r:.40}")
        baseline["spread"] = json_file.number(baseline["spread"])
        json_file.check(float, baseline["spread"])
        if not baseline["results"]:
            raise ValueError("it is empty")
        json_file.check(str, *baseline.get("faults", []))
        for entry in baseline["results"].values():
            json_file.check(str, entry["verdict"], entry["coverage"])
            json_file.check(int, entry["comparisons"])
            entry["kinds"] = {k: json_file.number(v) for k, v in entry["kinds"].items()}
            json_file.check(float, *entry["kinds"].values())
            if len(_counts(entry["coverage"])) != COUNTS:
                raise ValueError(f"coverage {entry['coverage']!r:.40}")
    except json_file.DAMAGED as error:
        raise ParityError(
            f"{path} is no baseline ({json_file.reason(error)}): write one with "
            f"`python -m parity gate RESULT.json --baseline {path} --update`."
        ) from error
    return dict(baseline)


def fault_of(outcome: Mapping[str, Any]) -> str:
    """The name of a planted fault, and the type and mode in which it was looked for."""
    return " ".join([outcome["fault"], outcome["dtype"], outcome["mode"]])


def lost_faults(outcomes: Sequence[Mapping[str, Any]], baseline: Mapping[str, Any]) -> list[str]:
    """The planted faults that were found in the baseline and are not found any more."""
    found = {fault_of(each): each["killed"] and each["placed"] for each in outcomes}
    return [
        f"fault {name}: {'is no longer found where it sits' if name in found else 'is gone'}"
        for name in baseline.get("faults", [])
        if not found.get(name)
    ]


def regressions(
    results: Sequence[Result],
    baseline: Mapping[str, Any],
    place: Callable[[Record], str] = lambda record: record.path or "(model)",
    names: int | None = NAMED,
) -> list[str]:
    """What got worse and at which `place` of a record, failures first; empty if nothing did.

    One line a result, and one for all that was not run, with the first `names` (None: all).
    """
    if not results:
        raise ParityError("There are no results to hold against a baseline.")
    known = baseline["results"]
    ordered = sorted(results, key=lambda result: (result.verdict == "pass", _name(result)))
    worse = [
        f"{_name(result)}: {'; '.join(reasons)}"
        for result in ordered
        if (reasons := list(_worse(result, known.get(_name(result)), baseline["spread"], place)))
    ]
    run = {_name(result) for result in results}
    left = [name for name in known if name not in run]
    if left:
        more = f" and {len(left) - names} more (-v)" if names and len(left) > names else ""
        worse.append(
            f"not run: {len(left)} of {len(known)} in the baseline: {', '.join(left[:names])}{more}"
        )
    return worse


def _worse(
    result: Result,
    before: Mapping[str, Any] | None,
    spread: float,
    place: Callable[[Record], str],
) -> Iterator[str]:
    """What is wrong with a result that was `before`; a new one (None) may only fail."""
    first, missing = result.first_failure, result.coverage.missing
    if result.verdict != "pass":
        seen = f" ({result.fingerprint})" if result.fingerprint else ""
        yield "fails" + (
            f" at {place(first)}{seen}" if first else f": {missing[0]}" if missing else ""
        )
    if before is None:
        return
    decided = result.decided.compared
    if decided < before["comparisons"]:
        left = f" and {len(result.undecided)} not decided" if result.undecided else ""
        yield f"{decided} comparisons{left}, were {before['comparisons']}"
    if any(
        n < b
        for n, b in zip(_counts(str(result.coverage)), _counts(before["coverage"]), strict=True)
    ):
        yield f"coverage {result.coverage}, was {before['coverage']}"
    records = _records(result)
    gone = [kind for kind in before["kinds"] if kind not in records]
    if gone:
        yield f"no longer compared: {gone[0]}" + (f" and {len(gone) - 1} more" if gone[1:] else "")
    louder = [
        (worst_noise_ratio(records[kind]), limit, kind)
        for kind, limit in before["kinds"].items()
        if kind in records and not worst_noise_ratio(records[kind]) <= spread * max(limit, SLACK)
    ]
    if louder:
        noise, limit, kind = max(louder)
        worst = max(records[kind], key=lambda record: worst_noise_ratio([record]))
        where = "" if worst is first else f", at {place(worst)}"
        more = f", and {len(louder) - 1} more kinds" if louder[1:] else ""
        yield f"noise ratio of {kind} {noise:.2f}, was {limit:.2f}{where}{more}"


def _counts(coverage: str) -> list[int]:
    """The compared numbers of a coverage as text: "modules 19/19, calls 27/27"."""
    return [int(part.split()[-1].partition("/")[0]) for part in coverage.split(",")]


def improvements(results: Sequence[Result], baseline: Mapping[str, Any]) -> list[str]:
    """What is new or better by more than the spread: what a new baseline would keep."""
    lines = []
    for result in results:
        before = baseline["results"].get(_name(result))
        if before is None:
            lines.append(f"{_name(result)}: new")
            continue
        now = _by_kind(result)
        better = [
            (limit / max(now[kind], SLACK), kind, now[kind], limit)
            for kind, limit in before["kinds"].items()
            if kind in now and limit > baseline["spread"] * max(now[kind], SLACK)
        ]
        if better and result.verdict == "pass":
            _, kind, noise, limit = max(better)
            more = f", and {len(better) - 1} more kinds" if better[1:] else ""
            lines.append(
                f"{_name(result)}: noise ratio of {kind} {noise:.2f}, was {limit:.2f}{more}"
            )
    return lines
