"""`python -m parity`: capture, run, mutate, gate, report.

Exit status: 0 all passed, 1 something diverged or regressed, 2 wrong usage or a file that cannot be
read or written, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from demucs_tf.errors import DemucsTFError
from demucs_tf.utils.quiet import quiet
from parity.cases import Case
from parity.core.result import ParityError, Result

# Which extra a module comes with.
EXTRAS = {
    **dict.fromkeys(("torch", "demucs", "julius", "omegaconf"), "reference"),
    **dict.fromkeys(("jinja2", "markupsafe", "plotly"), "report"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    options = _parser().parse_args(arguments)
    try:
        _check_outputs(getattr(options, "json", None), getattr(options, "html", None))
        if options.run in (_capture, _run, _mutate):
            with quiet():
                import tensorflow  # noqa: F401  # here, because it prints when it is imported
        return int(options.run(options))
    except (ParityError, DemucsTFError, OSError) as error:
        return _report_error(str(error))
    except ImportError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _report_error(f'{error}: pip install "demucs-tf[{extra}]"')
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _report_error(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return 2


def _check_outputs(json_path: Path | None, html_path: Path | None) -> None:
    """What can be known beforehand to keep results from being written, before they are made."""
    for option, path in (("--json", json_path), ("--html", html_path)):
        if path and not path.parent.is_dir():
            raise ParityError(f"{option} {path}: there is no folder {path.parent}.")
        if path and path.is_dir():
            raise ParityError(f"{option} {path}: expected a file, found a folder.")
    if html_path:
        import jinja2  # noqa: F401
        import plotly  # noqa: F401


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m parity", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    capture = commands.add_parser("capture", help="write goldens from the PyTorch reference")
    _add_case(capture)
    capture.add_argument("--golden", type=Path, metavar="DIR", help="write there")
    capture.set_defaults(run=_capture)

    run = commands.add_parser("run", help="compare the port with goldens or with the reference")
    _add_case(run)
    run.add_argument(
        "-k",
        dest="expression",
        default="",
        metavar="EXPR",
        help="only records whose case, path or class fits: names, and, or, not",
    )
    run.add_argument("--live", action="store_true", help="run the reference, not the goldens")
    run.add_argument("--golden", type=Path, metavar="DIR", help="goldens from there")
    run.add_argument("--dtype", choices=["float32", "float64", "both"], default="both")
    run.add_argument("--mode", choices=["isolated", "cumulative", "both"], default="both")
    run.add_argument(
        "--engine",
        choices=["eager", "graph", "xla"],
        default="eager",
        help="how the cumulative pass runs",
    )
    run.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="your own .th or .safetensors; needs --audio",
    )
    run.add_argument("--audio", type=Path, metavar="FILE", help="your own music, with --checkpoint")
    run.add_argument("--seconds", type=float, default=5.0, help="how much of --audio (default 5)")
    run.add_argument("--json", type=Path, metavar="FILE")
    run.add_argument("--html", type=Path, metavar="FILE")
    run.set_defaults(run=_run)

    mutate = commands.add_parser("mutate", help="inject known faults, print the mutation score")
    mutate.add_argument("-k", dest="expression", default="", metavar="EXPR")
    mutate.add_argument("--json", type=Path, metavar="FILE")
    mutate.set_defaults(run=_mutate)

    gate = commands.add_parser("gate", help="fail on a regression against a baseline")
    gate.add_argument("result", type=Path, metavar="RESULT.json")
    gate.add_argument("--baseline", type=Path, required=True, metavar="FILE")
    gate.add_argument("--update", action="store_true", help="write the baseline instead")
    gate.set_defaults(run=_gate)

    report = commands.add_parser("report", help="draw a result as one HTML page")
    report.add_argument("result", type=Path, metavar="RESULT.json")
    report.add_argument("--html", type=Path, required=True, metavar="FILE")
    report.set_defaults(run=_report)
    return parser


def _add_case(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="NAME",
        dest="cases",
        help="only this case; may be repeated",
    )


def _capture(options: argparse.Namespace) -> int:
    from parity.run import SUITE
    from parity.select import select

    cases = select(options.cases)
    live = [case.name for case in cases if case.stored == "live"]
    if options.cases and live:
        raise ParityError(f"{live[0]} has no golden: `run --case {live[0]} --live`.")
    for case in cases:
        if case.stored != "live":
            print(SUITE.golden(case, options.golden).write(SUITE.live_expected(case)), flush=True)
    return 0


def _run(options: argparse.Namespace) -> int:
    from parity.report import text

    results: list[Result] = []
    for result in _results(options):
        results.append(result)
        print(
            text.summary(result) if result.verdict == "pass" else text.details(result), flush=True
        )
    if not results:
        raise ParityError("Nothing was compared: no case fits.")
    failed = sum(result.verdict != "pass" for result in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    _write(results, options.json, options.html)
    return 1 if failed else 0


def _results(options: argparse.Namespace) -> Iterator[Result]:
    from parity import run

    if options.mode == "isolated" and options.engine != "eager":
        raise ParityError("--engine is how the cumulative pass runs: not with --mode isolated.")
    dtypes = ["float64", "float32"] if options.dtype == "both" else [options.dtype]
    if options.checkpoint or options.audio:
        if not (options.checkpoint and options.audio) or options.cases:
            raise ParityError("--checkpoint and --audio go together, and without --case.")
        return run.run_own(
            options.checkpoint,
            options.audio,
            options.seconds,
            dtypes,
            options.mode,
            options.engine,
            options.expression,
        )
    return run.run_cases(
        _runnable(options.cases, options.live),
        dtypes,
        options.expression,
        mode=options.mode,
        live=options.live,
        folder=options.golden,
        engine=options.engine,
    )


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


def _mutate(options: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from demucs_tf.utils.atomic import write_whole
    from parity.core.mutate import mutate
    from parity.faults import FAULTS, run
    from parity.select import matches

    chosen = [
        fault
        for fault in FAULTS
        if not options.expression or matches(options.expression, f"{fault.name} {fault.case}")
    ]
    if not chosen:
        raise ParityError(f"No fault fits -k {options.expression!r}.")
    outcomes = []
    for outcome in mutate(chosen, run):
        word = "killed" if outcome.killed and outcome.placed else "SURVIVED"
        if outcome.killed and not outcome.placed:
            word = "MISPLACED"
        print(f"{word:9}  {outcome.fault:38}  {outcome.case:26}  {outcome.found}", flush=True)
        outcomes.append(outcome)
    killed = sum(outcome.killed and outcome.placed for outcome in outcomes)
    print(f"mutation score: {killed}/{len(outcomes)} killed at the right layer")
    if options.json:
        with write_whole(options.json) as temporary:
            temporary.write_text(json.dumps([asdict(o) for o in outcomes], indent=1) + "\n")
    return 0 if killed == len(outcomes) else 1


def _gate(options: argparse.Namespace) -> int:
    from parity.core import gate
    from parity.core.result import read_json

    results = read_json(options.result)
    if options.update:
        gate.write_baseline(options.baseline, results)
        print(options.baseline)
        return 0
    lines = gate.regressions(results, gate.read_baseline(options.baseline))
    print("\n".join(lines) or f"{len(results)} results, no regression")
    return 1 if lines else 0


def _report(options: argparse.Namespace) -> int:
    from parity.core.result import read_json

    _write(read_json(options.result), None, options.html)
    return 0


def _write(results: Sequence[Result], json_path: Path | None, html_path: Path | None) -> None:
    from parity.core.result import write_json

    if json_path:
        write_json(json_path, results)
        print(f"results: {json_path}")
    if html_path:
        from parity.report.html import write_html

        write_html(html_path, results)
        print(f"report: {html_path}")


if __name__ == "__main__":
    sys.exit(main())
