"""Results as text: what a failing test and the command line print."""

from __future__ import annotations

from collections.abc import Sequence

from parity.core.result import Record, Result, worst_noise_ratio

AROUND = 3


def summary(result: Result) -> str:
    """One line: case, dtype, verdict, tensors, worst noise ratios, coverage."""
    compared = [record for record in result.layers if record.kind != "parameter"]
    modes = list(dict.fromkeys(record.mode for record in compared))
    worst = ", ".join(
        f"{mode} {worst_noise_ratio([r for r in compared if r.mode == mode]):.2f}" for mode in modes
    )
    return (
        f"{result.verdict.upper()}  {result.case or result.reference}  {result.dtype}  "
        f"{len(result.layers)} comparisons, {len(result.failures)} failed; worst noise ratio "
        f"{worst or 'none'}; coverage: {result.coverage}"
    )


def details(result: Result) -> str:
    """What a failure needs: the first divergence, its place in the reference, its surroundings."""
    lines = [summary(result)]
    first = result.first_failure
    if first:
        lines += [
            f"first divergence: {first.path or '(model)'} ({first.module_class or first.kind}), "
            f"{first.source or 'no source line'}",
            f"  {first.mode}, call {first.call}, output {first.output}: {first.reason}",
            *table(_around(result.layers, first)),
        ]
    if result.coverage.missing:
        lines += ["missing:", *(f"  {text}" for text in result.coverage.missing[:20])]
        if len(result.coverage.missing) > 20:
            lines.append(f"  and {len(result.coverage.missing) - 20} more")
    return "\n".join(lines)


def table(records: Sequence[Record]) -> list[str]:
    """Records in columns."""
    rows = [("", "path", "call", "mode", "rel_l2", "tolerance", "noise", "gain", "reference")]
    rows += [
        (
            "" if record.verdict == "pass" else "FAIL",
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
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


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
