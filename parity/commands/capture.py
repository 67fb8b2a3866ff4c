"""`python -m parity capture`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from parity.commands.outputs import written
from parity.core.machine.mkl import same_on_every_processor
from parity.core.result import ParityError


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("capture", help="write goldens from the PyTorch reference")
    add_case(parser)
    parser.add_argument("--all", action="store_true", help="renew every golden")
    parser.add_argument(
        "--backward", action="store_true", help="the goldens of gradients, at the inputs of others"
    )
    parser.add_argument(
        "--embedded", action="store_true", help="that of the model in the package, and no other"
    )
    parser.add_argument("--golden", type=Path, metavar="DIR", help="write there")
    parser.set_defaults(run=run)


def add_case(parser: argparse.ArgumentParser) -> None:
    """Add `--case`, which may be repeated."""
    parser.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="NAME",
        dest="cases",
        help="only this case; may be repeated",
    )


def run(options: argparse.Namespace) -> int:
    """Capture the reference, case by case."""
    same_on_every_processor()
    from parity.run import SUITE
    from parity.select import select

    if options.embedded and not (options.cases or options.all):
        from parity import embedded

        print(embedded.capture(options.golden), flush=True)
        return 0
    if bool(options.cases) == options.all:
        raise ParityError("capture overwrites goldens: name them with --case NAME, or say --all.")
    cases = select(options.cases)
    live = [case.name for case in cases if case.stored == "live"]
    if options.cases and live:
        raise ParityError(f"{live[0]} has no golden: `run --case {live[0]} --live`.")
    if options.backward:
        return _capture_backward([case.name for case in cases], options)
    for case in cases:
        if case.stored != "live":
            golden = SUITE.golden(case, options.golden)
            expected = SUITE.live_expected(case)
            with written(golden.path):
                print(golden.write(expected), flush=True)
    return 0


def _capture_backward(names: list[str], options: argparse.Namespace) -> int:
    from parity.backward import BACKWARD, STORED
    from parity.cases import BY_NAME

    other = [name for name in names if name not in STORED]
    if options.cases and other:
        raise ParityError(f"{other[0]} has no golden of its gradients: `run --backward --live`.")
    for name in STORED:
        if name in names:
            golden = BACKWARD.golden(BY_NAME[name], options.golden)
            with written(golden.path):
                print(BACKWARD.write(BY_NAME[name], options.golden), flush=True)
    return 0
