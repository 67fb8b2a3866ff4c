"""`python -m parity mutate`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parity.commands.outputs import written
from parity.core.files.atomic import write_whole
from parity.core.result import ParityError


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("mutate", help="inject known faults, print the mutation score")
    parser.add_argument("-k", dest="expression", default="", metavar="EXPR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Inject the faults that fit, one at a time."""
    from parity import faults
    from parity.core.mutate import mutate
    from parity.select import matches

    chosen = [
        fault
        for fault in faults.FAULTS
        if not options.expression or matches(options.expression, f"{fault.name} {fault.case}")
    ]
    if not chosen:
        raise ParityError(f"No fault fits -k {options.expression!r}.")
    outcomes = []
    for outcome in mutate(chosen, faults.run):
        word = "killed" if outcome.killed and outcome.placed else "SURVIVED"
        if outcome.killed and not outcome.placed:
            word = "MISPLACED"
        print(f"{word:9}  {outcome.fault:38}  {outcome.case:26}  {outcome.found}", flush=True)
        outcomes.append(outcome)
    killed = sum(outcome.killed and outcome.placed for outcome in outcomes)
    print(f"mutation score: {killed}/{len(outcomes)} killed at the right layer")
    if options.json:
        with written(options.json):
            write_whole(options.json, json.dumps([asdict(o) for o in outcomes], indent=1) + "\n")
    return 0 if killed == len(outcomes) else 1
