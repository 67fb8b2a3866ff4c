"""`python -m parity report`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from parity.commands import outputs


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("report", help="draw a result as one HTML page")
    parser.add_argument("result", type=Path, metavar="RESULT.json")
    parser.add_argument("--html", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--music", type=Path, metavar="CSV", help="show what `music --csv` wrote as well"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draw it."""
    from parity.core.result import read_json
    from parity.report.data import Table

    tables = []
    if options.music:
        from parity.music import show

        lines = show.summary(show.read_csv(options.music))
        rows = tuple(tuple(map(str, line)) for line in lines.to_numpy().tolist())
        tables.append(Table("In the units of music (dB)", show.GATES, tuple(lines.columns), rows))
    outputs.write(read_json(options.result), None, options.html, tables)
    return 0
