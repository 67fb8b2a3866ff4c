"""Results as text: what a failing test and the command line print."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from demucs_tf.utils.text import printable
from parity.core.result import Part, Record, Result, worst_noise_ratio
from parity.report import configuration
from parity.report.columns import columns
from parity.where import port

AROUND = 3
PARTS = 5  # of the final error that are shown


def summary(result: Result) -> str:
    """One line: case, dtype, verdict, tensors, worst noise ratios, coverage."""
    compared = [record for record in result.layers if record.kind != "parameter"]
    modes = list(dict.fromkeys(record.mode for record in compared))
    worst = ", ".join(
        f"{mode} {worst_noise_ratio([r for r in compared if r.mode == mode]):.2f}" for mode in modes
    )
    undecided = f", {len(result.undecided)} not decided" if result.undecided else ""
    return printable(
        f"{result.verdict.upper()}  {result.case or result.reference}  {result.dtype}  "
        f"{configuration.count(result)}{len(result.layers)} comparisons, "
        f"{len(result.failures)} failed{undecided}; worst noise ratio {worst or 'none'}; "
        f"coverage: {result.coverage}{f', decided {result.decided}' if result.undecided else ''}"
    )


def place(record: Record) -> str:
    """Where a record is: path, class, the reference's file and line, and the port's."""
    name = f"{record.path or '(model)'} ({record.module_class or record.kind})"
    return printable(f"{name}, {_lines(record)}")


def _lines(record: Record) -> str:
    ours = port.of_record(record.path, record.module_class, record.source)
    return f"{record.source or 'no source line'}{f'; port: {ours}' if ours else ''}"


def details(result: Result) -> str:
    """What a failure needs: the first divergence, its place on both sides, its surroundings.

    Arguments that differ stand above all numbers.
    """
    lines = [*configuration.differences(result), summary(result)]
    first = result.first_failure
    if first:
        lines += [
            f"first divergence: {place(first)}",
            f"  {first.mode}, call {first.call}, output {first.output}: {printable(first.reason)}",
            *([f"  {printable(result.fingerprint)}"] if result.fingerprint else []),
            *table(_around(result.layers, first)),
        ]
    lines += attribution(result)
    lines += [f"replay: python {result.replay}"] if result.replay else []
    if result.coverage.missing:
        missing = [f"  {printable(text)}" for text in result.coverage.missing[:20]]
        lines += ["missing:", *missing]
        if len(result.coverage.missing) > 20:
            lines.append(f"  and {len(result.coverage.missing) - 20} more")
    return "\n".join(lines)


SHARES = ("final error", "by layer or step", "most of it at", "vanish if that is right")


def attribution(result: Result) -> list[str]:
    """What adds most to the final error, in columns."""
    rows = shares(result)
    return columns([SHARES, *rows]) if rows else []


def shares(result: Result) -> list[tuple[str, str, str, str]]:
    """The kinds of calls that add most to the final error, and where each adds most: `SHARES`."""
    kinds: dict[str, list[Part]] = {}
    for part in result.attribution:
        kinds.setdefault(part.step_or_class, []).append(part)
    rows = []
    for kind, parts in sorted(kinds.items(), key=lambda item: -sum(p.share for p in item[1])):
        most = max(parts, key=lambda part: part.share)
        calls = sum(part.calls for part in parts)
        left = "all" if math.isinf(most.vanished_db) else f"{most.vanished_db:.1f} dB"
        rows.append(
            (
                f"{100 * sum(part.share for part in parts):.1f} %",
                f"{kind}, {calls} calls" if calls > 1 else kind,
                f"{most.path or '(model)'} call {most.call}",
                left,
            )
        )
    return rows[:PARTS]


def roots(failed: Iterable[Result]) -> list[str]:
    """Failed cases by where they first diverge: one fault is one root, however many hear it.

    The same step or class of the port is the same root, whatever the path in each model.
    """
    found: dict[str, list[Result]] = {}
    for result in failed:
        first, missing = result.first_failure, result.coverage.missing
        root = f"coverage: {missing[0]}" if missing else "nothing was compared"
        if result.differences:
            root = result.differences[0].reason
        elif first:
            root = f"{first.step_or_class}, {_lines(first)}"
        found.setdefault(printable(root), []).append(result)
    roots = "1 root" if len(found) == 1 else f"{len(found)} roots"
    lines = [f"{sum(map(len, found.values()))} failures have {roots}:"]
    for root, results in sorted(found.items(), key=lambda item: -len(item[1])):
        names = dict.fromkeys(printable(result.case or result.reference) for result in results)
        shown = ", ".join([*names][:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        lines += [f"  {len(results)} of {root}", f"    {shown}"]
    return lines


def worst_by_kind(result: Result) -> list[str]:
    """The record of each kind of layer that uses most of its tolerance, in columns."""
    worst: dict[tuple[str, str], Record] = {}
    for record in (r for r in result.layers if r.share is not None and r.kind != "parameter"):
        key = record.step_or_class, record.mode
        worst[key] = max(worst.get(key, record), record, key=_share)
    rows = [("kind", "mode", "rel_l2", "tolerance", "noise", "share", "worst at")]
    rows += [
        (
            kind,
            mode,
            _number(record.rel_l2),
            _number(record.tolerance),
            _number(record.noise_ratio),
            f"{100 * _share(record):.2g}%",
            f"{record.path or '(model)'} call {record.call}",
        )
        for (kind, mode), record in sorted(worst.items())
    ]
    return columns(rows)


def _share(record: Record) -> float:
    return record.share or 0.0


def table(records: Sequence[Record]) -> list[str]:
    """Records in columns."""
    rows = [("", "path", "call", "mode", "rel_l2", "tolerance", "noise", "gain", "reference")]
    rows += [
        (
            {"pass": "", "fail": "FAIL"}.get(record.verdict, record.verdict),
            f"{record.path or '(model)'}[{record.output}]",
            str(record.call),
            record.mode,
            _number(record.rel_l2),
            _number(record.tolerance),
            _number(record.noise_ratio),
            _number(record.gain),
            record.source,
        )
        for record in records
    ]
    return columns(rows)


def _around(records: Sequence[Record], failed: Record) -> list[Record]:
    """The records of a failed call and of the few calls before and after it."""
    if failed.kind == "parameter":
        return [failed]
    calls = list(dict.fromkeys((r.path, r.call) for r in records if r.kind != "parameter"))
    place = calls.index((failed.path, failed.call))
    near = set(calls[max(0, place - AROUND) : place + AROUND + 1])
    return [r for r in records if (r.path, r.call) in near and r.kind != "parameter"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
