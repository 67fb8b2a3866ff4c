"""`python -m parity run`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from parity.cases import Case
from parity.commands import outputs
from parity.commands.capture import add_case
from parity.commands.outputs import Progress
from parity.core.capture.progress import heard_by
from parity.core.result import ParityError, Result

SECONDS = 5.0


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("run", help="compare the port with goldens or with the reference")
    add_case(parser)
    parser.add_argument(
        "-k",
        dest="expression",
        default="",
        metavar="EXPR",
        help="only records whose case, path or class fits: names, and, or, not",
    )
    parser.add_argument("--backward", action="store_true", help="compare gradients, not outputs")
    parser.add_argument("--live", action="store_true", help="run the reference, not the goldens")
    parser.add_argument("--golden", type=Path, metavar="DIR", help="goldens from there")
    parser.add_argument("--dtype", choices=["float32", "float64", "both"], default="both")
    parser.add_argument("--mode", choices=["isolated", "cumulative", "both"], default="both")
    parser.add_argument(
        "--engine",
        choices=["eager", "graph", "xla"],
        default="eager",
        help="how the cumulative pass runs",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="your own .th or .safetensors; needs --audio",
    )
    parser.add_argument(
        "--audio", type=Path, metavar="FILE", help="your own music, with --checkpoint"
    )
    parser.add_argument(
        "--embedded", action="store_true", help="the model in the package, with trained weights"
    )
    parser.add_argument(
        "--seconds", type=float, help=f"how much of --audio (default {SECONDS:g}), from its middle"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--html", type=Path, metavar="FILE")
    parser.add_argument(
        "--attribute",
        action="store_true",
        help="share the final error out among the layers, also where it is within its tolerance",
    )
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="FOLDER",
        help="pack the first failing call of each root there, with a script that runs it alone",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="the worst error of each kind of layer"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare, and print a line for each case, and what a failure needs."""
    from parity.report import configuration, text
    from parity.where import measured

    results: list[Result] = []
    progress = Progress(options.verbose)
    with heard_by(progress):
        for result in _results(options):
            progress.clear()
            results.append(result)
            if (options.verbose or options.checkpoint) and not result.differences:
                print("\n".join(configuration.table(result)), flush=True)
            print(text.details(result), flush=True)
            if options.verbose:
                print("\n".join(text.worst_by_kind(result)), flush=True)
            if not options.backward:
                measured.keep(result)
    if not results:
        raise ParityError("Nothing was compared: no case fits.")
    failed = [result for result in results if result.verdict != "pass"]
    if len(failed) > 1:
        print("\n".join(text.roots(failed)))
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    tables = outputs.against_baseline(results) if options.html else []
    outputs.write(results, options.json, options.html, tables)
    return 1 if failed else 0


def _results(options: argparse.Namespace) -> Iterator[Result]:
    from parity import run

    if options.mode == "isolated" and options.engine != "eager":
        raise ParityError("--engine is how the cumulative pass runs: not with --mode isolated.")
    attribution: Any = "always" if options.attribute else "failure"
    dtypes = ["float64", "float32"] if options.dtype == "both" else [options.dtype]
    if options.checkpoint or options.audio:
        if not (options.checkpoint and options.audio) or options.cases:
            raise ParityError("--checkpoint and --audio go together, and without --case.")
        if options.backward:
            raise ParityError("--backward compares cases: not with --checkpoint.")
        return run.run_own(
            options.checkpoint,
            options.audio,
            SECONDS if options.seconds is None else options.seconds,
            dtypes,
            options.mode,
            options.engine,
            options.expression,
            attribution,
            options.replay,
            draw=options.html is not None,
        )
    if options.embedded:
        from parity import embedded

        if options.cases or options.backward:
            raise ParityError(
                "--embedded is the model in the package: not with --case or --backward."
            )
        draw = options.html is not None
        return embedded.run(
            dtypes, options.mode, options.live, options.golden, options.engine, draw
        )
    if options.seconds is not None:
        raise ParityError("--seconds is how much of --audio is heard: it needs --checkpoint.")
    named = {
        "mode": options.mode,
        "live": options.live,
        "folder": options.golden,
        "engine": options.engine,
    }
    if options.backward:
        return _backward(options, dtypes, named)
    return run.run_cases(
        _runnable(options.cases, options.live),
        dtypes,
        options.expression,
        **named,
        attribution=attribution,
        replay=options.replay,
        draw=options.html is not None,
    )


def _backward(
    options: argparse.Namespace, dtypes: Sequence[str], named: dict[str, Any]
) -> Iterator[Result]:
    """The same of gradients; of all cases those that have some, or, from goldens, that are kept."""
    from parity import backward

    names = options.cases or ([] if options.live else backward.STORED)
    cases = [case for case in _runnable(names, options.live) if options.cases or not case.apply]
    for found in backward.run_cases(cases, dtypes, options.expression, **named):
        if isinstance(found, Result):
            yield found
        elif options.cases:
            raise ParityError(found)
        else:
            print(f"not run: {found}", flush=True)


def _runnable(names: Sequence[str], live: bool) -> list[Case]:
    """The cases that can run here. What cannot is said; an error if it was asked for by name."""
    from parity import select

    cases = []
    for case in select.select(names):
        reason = select.obstacle(case, live)
        if reason and names:
            raise ParityError(f"{case.name} cannot run: {reason}.")
        if reason:
            print(f"not run: {case.name} ({reason})", flush=True)
        else:
            cases.append(case)
    return cases
