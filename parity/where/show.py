"""Prints what `where` found."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from parity.where import Answer, measured
from parity.where.evidence import Call, tolerances
from parity.where.measured import Error
from parity.where.reference import Target

SHOWN = 8  # entries of a long list
LINES = 3  # lines of the port
Errors = Mapping[tuple[str, str], Mapping[tuple[str, str], Error]]  # case, dtype; path, mode


def answer(found: Answer, errors: Errors, verbose: bool = False) -> Iterator[str]:
    """The lines of one answer. `errors` are the measured ones, see `measured.worst`."""
    yield found.title
    if found.place:
        lines = (
            list(found.place.lines) if found.place.statements else [found.place.block.node.lineno]
        )
        yield from (f"    {found.place.block.line(n)}" for n in lines[:SHOWN])
    if found.note:
        yield f"  ({found.note})"
    yield "port"
    shown = found.lines if verbose else found.lines[:LINES]
    yield from (f"  {line}  {line.name}\n    {line.text}" for line in shown)
    if len(found.lines) > len(shown):
        yield f"  and {_count(len(found.lines) - len(shown), 'line')} more (-v)"
    if not found.lines:
        yield "  it has nothing of this name"
    if not found.targets:
        return
    yield from _listed("compared", map(name_of, found.targets), verbose)
    if found.parts:
        yield from _listed("its parts", map(name_of, found.parts), verbose)
    cases = list(dict.fromkeys(call.case for call in found.calls))
    heard = f"heard by {_count(len(cases), 'case')}, {_count(len(found.calls), 'call')}"
    yield from _listed(heard, cases, verbose)
    if cases:
        yield from _numbers(found.calls, errors)
    faults = [f"{fault.name} ({fault.line}, {fault.case})" for fault in found.faults]
    yield from _listed(f"{_count(len(faults), 'fault')} planted here", faults, verbose, "\n  ")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _listed(title: str, names: Iterable[str], verbose: bool, between: str = ", ") -> Iterator[str]:
    names = list(dict.fromkeys(names))
    shown = names if verbose else names[:SHOWN]
    more = f"{between}and {len(names) - len(shown)} more (-v)" if len(names) > len(shown) else ""
    yield title
    if names:
        yield f"  {between.join(shown)}{more}"


def name_of(target: Target) -> str:
    """`Class:step`, `Class.attribute`, `Class` or a path."""
    if target.kind == "path":
        return target.name
    between = {"tap": ":", "module": "."}.get(target.kind, "")
    return f"{target.owner}{between}{target.name}"


def _numbers(calls: Sequence[Call], errors: Errors) -> Iterator[str]:
    """Tolerances, and the measured error that comes closest to its own."""
    rows = [("", "", "tolerance", "last error", "noise ratio", "share", "measured")]
    for (mode, dtype), (least, most) in tolerances(calls).items():
        bounds = f"{least:.2g}" if least == most else f"{least:.2g} .. {most:.2g}"
        known = [
            found[call.event.path, mode]
            for call in calls
            if (call.event.path, mode) in (found := errors.get((call.case, dtype), {}))
        ]
        worst = max(known, key=lambda error: error.share, default=None)
        numbers = ("not yet", "", "", "")
        if worst:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(worst.when))
            noise, share = f"{worst.noise_ratio:.2f}", f"{100 * worst.share:.2g}%"
            numbers = (f"{worst.rel_l2:.2g}", noise, share, when)
        rows.append((mode, dtype, bounds, *numbers))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells).rstrip()}"
    if any(row[3] == "not yet" for row in rows):
        case = min((call.case for call in calls), key=len)
        yield f"  to measure: python -m parity run --case {case}"


def kept(answers: Sequence[Answer]) -> Errors:
    """What was measured last of the cases of some answers."""
    cases = {call.case for found in answers for call in found.calls}
    return {(c, d): measured.read(c, d) for c in cases for d in ("float64", "float32")}
