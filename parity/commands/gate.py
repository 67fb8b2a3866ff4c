"""`python -m parity gate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("gate", help="fail on a regression against a baseline")
    parser.add_argument("result", type=Path, metavar="RESULT.json")
    parser.add_argument("--baseline", type=Path, required=True, metavar="FILE")
    parser.add_argument("--update", action="store_true", help="write the baseline instead")
    parser.add_argument("-v", "--verbose", action="store_true", help="name all that was not run")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Hold results against a baseline, or write it."""
    from parity.commands import outputs
    from parity.core.guards import gate
    from parity.core.result import read_json
    from parity.report import text

    results = read_json(options.result)
    if options.update:
        with outputs.written(options.baseline):
            gate.write_baseline(options.baseline, results)
        print(options.baseline)
        return 0
    names = None if options.verbose else gate.NAMED
    lines = gate.regressions(results, gate.read_baseline(options.baseline), text.place, names)
    print("\n".join(lines) or f"{len(results)} results, no regression")
    return 1 if lines else 0
