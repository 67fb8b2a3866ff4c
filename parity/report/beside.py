"""Tables of what results stand beside: other engines, a baseline, mutants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from parity.core.files import json_file
from parity.core.guards import gate
from parity.core.result import ParityError, Result, worst_noise_ratio
from parity.report.data import Table, distinct, number

FATES = ("killed", "crashed", "endless", "survived")


def engines(results: Sequence[Result]) -> list[Table]:
    """The real pass of each case in every engine; nothing where one engine ran all."""
    names = distinct(_engine(result) for result in results)
    if len(names) < 2:
        return []
    found: dict[tuple[str, str], dict[str, Result]] = {}
    for result in results:
        found.setdefault((result.case, result.dtype), {})[_engine(result)] = result
    rows = [
        (case, dtype, *(_noise(by_engine.get(name)) for name in names))
        for (case, dtype), by_engine in found.items()
    ]
    note = (
        "The worst noise ratio of the real pass (cumulative): the same weights and input, run by "
        "each engine. Empty where it did not run."
    )
    return [Table("Engines side by side", note, ("Case", "dtype", *names), tuple(rows))]


def _engine(result: Result) -> str:
    return str(result.environment.get("engine", "eager"))


def _noise(result: Result | None) -> str:
    if result is None:
        return ""
    records = [r for r in result.layers if r.mode == "cumulative" and r.kind != "parameter"]
    failed = "" if result.verdict == "pass" else "fail "
    return f"{failed}{_two(worst_noise_ratio(records))}" if records else ""


def _two(value: float) -> str:
    """With two decimals, which line up below each other; very large ones as elsewhere."""
    return f"{value:.2f}" if value < 1e4 else number(value)


def baseline(results: Sequence[Result], before: Mapping[str, Any]) -> list[Table]:
    """Each kind of layer against a baseline, where it comes farthest from it; see `core.guards`."""
    if not results:
        return []
    worst: dict[str, tuple[float, float, float, str]] = {}
    for name, now in gate.baseline_of(results)["results"].items():
        known = before["results"].get(name, {"kinds": {}})["kinds"]
        for kind, noise in now["kinds"].items():
            if kind in known:
                ratio = noise / max(known[kind], gate.SLACK)
                seen = ratio, noise, known[kind], name
                worst[kind] = max(worst.get(kind, seen), seen)
    rows = [
        (*kind.rsplit(", ", 1), _two(noise), _two(limit),
         f"{'fail ' if ratio > before['spread'] else ''}{_two(ratio)}", name)
        for kind, (ratio, noise, limit, name) in sorted(worst.items(), key=lambda e: -e[1][0])
    ]  # fmt: skip
    note = (
        "Noise ratios by kind of layer, in the case that comes farthest from its baseline, and how "
        f"many times the baseline's (or 1) they are; more than {before['spread']:g}, the spread of "
        "several runs, fails the gate."
    )
    header = ("Kind of layer", "Mode", "Observed", "Baseline", "Times", "In")
    return [Table("Against the baseline", note, header, tuple(rows))] if rows else []


def mutants(path: Path) -> list[Table]:
    """What `mutate --json` wrote, of planted faults or of machine-made ones.

    Raises:
        ParityError: the file is anything else.
    """
    try:
        content = list(json_file.read(path))
        if not content:
            raise ValueError("it is empty")
        return [_planted(content) if "fault" in content[0] else _machine(content)]
    except json_file.DAMAGED as error:
        raise ParityError(
            f"{path} is no result of `python -m parity mutate --json`: {json_file.reason(error)}"
        ) from error


def _planted(outcomes: Sequence[Mapping[str, Any]]) -> Table:
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for each in outcomes:
        groups.setdefault((str(each["dtype"]), str(each["mode"])), []).append(each)
    rows = []
    for (dtype, mode), group in groups.items():
        seen = [each for each in group if each["killed"]]
        placed = sum(bool(each["placed"]) for each in seen)
        lost = [str(each["fault"]) for each in group if not (each["killed"] and each["placed"])]
        rows.append((dtype, mode, str(len(group)), str(placed), str(len(seen) - placed),
                     str(len(group) - len(seen)), ", ".join(lost)))  # fmt: skip
    note = "Wrong code, planted: what of it was found at the right layer, elsewhere, or not at all."
    header = ("dtype", "Mode", "Planted", "Found", "Misplaced", "Survived", "Not found where it is")
    return Table("Planted faults", note, header, tuple(rows))


def _machine(caught: Iterable[Mapping[str, Any]]) -> Table:
    fates: dict[str, Counter[str]] = {}
    left: dict[str, list[str]] = {}
    for each in caught:
        mutant = each["mutant"]
        kind = str(mutant["kind"])
        fates.setdefault(kind, Counter())[str(each["fate"])] += 1
        if each["fate"] == "survived":
            left.setdefault(kind, []).append(
                f"{mutant['function']}: {mutant['before']} → {mutant['after']}"
            )
    rows = [
        (kind, str(sum(row.values())), *(str(row[fate]) for fate in FATES),
         "; ".join(left.get(kind, [])))
        for kind, row in sorted(fates.items())
    ]  # fmt: skip
    note = "One change each, drawn from the port's source, and what became of it."
    header = ("Class of change", "Drawn", *map(str.capitalize, FATES), "Survivors")
    return Table("Machine-made mutants", note, header, tuple(rows))
