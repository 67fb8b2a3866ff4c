"""The arguments of both sides, as text: what stands above any number."""

from __future__ import annotations

from demucs_tf.utils.text import printable
from parity.core.result import Result
from parity.report.columns import columns


def count(result: Result) -> str:
    """How many arguments were compared; "" if none were."""
    total, wrong = len(result.configuration), len(result.differences)
    if not total:
        return ""
    return f"{wrong} of {total} arguments differ; " if wrong else f"{total} arguments equal; "


def table(result: Result) -> list[str]:
    """Arguments that differ, first, or that are not the reference's defaults, in columns."""
    chosen = [argument for argument in result.configuration if argument.notable]
    if not chosen:
        return []
    rows = [("", "argument", "reference", "port", "reference's default", "port's default")]
    rows += [
        (
            "FAIL" if argument.differs else "",
            argument.name,
            argument.reference,
            argument.port,
            argument.reference_default or "-",
            argument.port_default or "-",
        )
        for argument in sorted(chosen, key=lambda argument: not argument.differs)
    ]
    return columns(rows)


def differences(result: Result) -> list[str]:
    """What differs, a sentence each, and the table; [] if nothing does."""
    found = [printable(argument.reason) for argument in result.differences]
    return [*found, *table(result)] if found else []
