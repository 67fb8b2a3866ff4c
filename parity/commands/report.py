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
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draw it."""
    from parity.core.result import read_json

    outputs.write(read_json(options.result), None, options.html)
    return 0
