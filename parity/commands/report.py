"""`python -m parity report`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from parity.commands import outputs


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("report", help="draw results as one HTML page")
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="RESULT.json",
        help="of `run --json`; those of several engines stand side by side",
    )
    parser.add_argument("--html", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="compare with it (default: the goldens')"
    )
    parser.add_argument(
        "--mutants", type=Path, metavar="JSON", help="show what `mutate --json` wrote as well"
    )
    parser.add_argument(
        "--music", type=Path, metavar="CSV", help="show what `music --csv` wrote as well"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draw them."""
    from parity.core.result import read_json
    from parity.report import beside
    from parity.report.data import Table

    results = [result for path in options.results for result in read_json(path)]
    tables = outputs.against_baseline(results, options.baseline)
    tables += beside.mutants(options.mutants) if options.mutants else []
    if options.music:
        from parity.music import show

        lines = show.summary(show.read_csv(options.music))
        rows = tuple(tuple(map(str, line)) for line in lines.to_numpy().tolist())
        tables.append(Table("In the units of music (dB)", show.GATES, tuple(lines.columns), rows))
    outputs.write(results, None, options.html, tables)
    return 0
