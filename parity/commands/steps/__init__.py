"""`python -m parity train-steps`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.commands.capture import add_case
from parity.commands.outputs import written
from parity.commands.steps.show import summary, table
from parity.core.files.atomic import write_whole

if TYPE_CHECKING:
    from parity.core.backward.steps import Steps


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("train-steps", help="train reference and port side by side")
    add_case(parser)
    parser.add_argument("--optimizer", choices=["sgd", "adam", "both"], default="both")
    parser.add_argument("--dtype", choices=["float32", "float64", "both"], default="both")
    parser.add_argument("--engine", choices=["eager", "graph", "both"], default="both")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="default 20")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("-v", "--verbose", action="store_true", help="every step")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, and print a line for each run, or each step."""
    from parity import training
    from parity.core.result import ParityError

    if options.steps < 1:
        raise ParityError(f"--steps: expected 1 or more, found {options.steps}.")

    def chosen(value: str, *both: str) -> list[Any]:
        return list(both) if value == "both" else [value]

    found: list[Steps] = []
    for steps in training.run_all(
        training.select(options.cases),
        chosen(options.optimizer, "sgd", "adam"),
        chosen(options.dtype, "float64", "float32"),
        chosen(options.engine, "eager", "graph"),
        options.steps,
    ):
        found.append(steps)
        print(summary(steps), flush=True)
        if options.verbose or steps.verdict != "pass":
            print("\n".join(table(steps)), flush=True)
    if not found:
        raise ParityError("Nothing was trained: what draws in training is compared by eager alone.")
    failed = sum(steps.verdict != "pass" for steps in found)
    print(f"{len(found) - failed} passed, {failed} failed")
    if options.json:
        _write(options.json, found)
    return 1 if failed else 0


def _write(path: Path, found: Sequence[Steps]) -> None:
    content = [{"verdict": steps.verdict, **asdict(steps)} for steps in found]
    with written(path):
        write_whole(path, json.dumps(content, indent=1) + "\n")
    print(f"results: {path}")
