"""Results as text: what a failing test and the command line print."""

from __future__ import annotations

from collections.abc import Sequence

from parity.result import Record, Result

AROUND = 3


def summary(result: Result) -> str:
    """One line: case, dtype, verdict, tensors, worst noise ratios, coverage."""
    compared = [record for record in result.layers if record.kind != "parameter"]
    worst = {
        mode: max((r.noise_ratio or 0 for r in compared if r.mode == mode), default=0)
        for mode in ("isolated", "cumulative")
    }
    return (
        f"{result.verdict.upper()}  {result.case or result.reference}  {result.dtype}  "
        f"{len(result.layers)} comparisons, {len(result.failures)} failed; worst noise ratio "
        f"isolated {worst['isolated']:.2f}, cumulative {worst['cumulative']:.2f}; "
        f"coverage: {result.coverage}"
    )


def details(result: Result) -> str:
    """What a failure needs: the first divergence, its place in the reference, its surroundings."""
    lines = [summary(result)]
    first = next((r for r in result.layers if r.path == result.first_divergence), None)
    if result.first_divergence is not None and first is not None:
        failed = next(r for r in result.failures if r.path == first.path)
        lines += [
            f"first divergence: {first.path or '(model)'} ({first.module_class or first.kind}), "
            f"{first.source or 'no source line'}",
            f"  {failed.mode}, call {failed.call}, output {failed.output}: {failed.reason}",
            *table(_around(result.layers, first.path)),
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


def _around(records: Sequence[Record], path: str) -> list[Record]:
    """The records of `path` and of the few calls before and after it."""
    calls = list(dict.fromkeys((r.path, r.call) for r in records if r.kind != "parameter"))
    places = [index for index, (name, _) in enumerate(calls) if name == path]
    if not places:  # a parameter
        return [record for record in records if record.path == path]
    near = set(calls[max(0, places[0] - AROUND) : places[0] + AROUND + 1])
    return [r for r in records if (r.path, r.call) in near and r.kind != "parameter"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
