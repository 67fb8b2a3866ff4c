"""`python -m parity gate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parity.core.result import ParityError


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("gate", help="fail on a regression against a baseline")
    parser.add_argument(
        "results",
        type=Path,
        nargs="*",
        metavar="RESULT.json",
        help="of `run --json`; with --update several runs, whose spread is kept",
    )
    parser.add_argument("--baseline", type=Path, required=True, metavar="FILE")
    parser.add_argument("--update", action="store_true", help="write the baseline instead")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="with --update: what was not run stays as it is, e.g. to add a case",
    )
    parser.add_argument(
        "--mutation", type=Path, metavar="FILE", help="of `mutate --json`: no fault may be lost"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="append a summary for a pull request"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="name all that was not run")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Hold results against a baseline, or write it."""
    from parity.commands import outputs
    from parity.core.guards import gate
    from parity.core.result import read_json
    from parity.report import text

    runs = [read_json(path) for path in options.results]
    outcomes = _outcomes(options.mutation) if options.mutation else []
    if options.update:
        if options.keep and options.mutation and not runs:
            baseline = gate.read_baseline(options.baseline)
        else:
            baseline = gate.baseline_of(*runs)
            if options.keep:
                baseline = gate.with_kept(baseline, gate.read_baseline(options.baseline))
        if options.mutation:
            found = [gate.fault_of(o) for o in outcomes if o["killed"] and o["placed"]]
            baseline = {**baseline, "faults": sorted(found)}
        with outputs.written(options.baseline):
            gate.write_baseline(options.baseline, baseline)
        print(options.baseline)
        return 0
    if options.keep:
        raise ParityError("--keep goes with --update.")
    if len(runs) != 1:
        raise ParityError("gate holds one RESULT.json against a baseline; several with --update.")
    baseline = gate.read_baseline(options.baseline)
    names = None if options.verbose else gate.NAMED
    worse = gate.regressions(runs[0], baseline, text.place, names)
    worse += gate.lost_faults(outcomes, baseline) if options.mutation else []
    better = gate.improvements(runs[0], baseline)
    print("\n".join(worse) or f"{len(runs[0])} results, no regression")
    if better:
        print(f"better than the baseline, which --update would keep: {len(better)}")
        print("\n".join(f"  {line}" for line in better[: None if options.verbose else gate.NAMED]))
    if options.markdown:
        with outputs.written(options.markdown), options.markdown.open("a", encoding="utf-8") as out:
            out.write(markdown(len(runs[0]), worse, better))
    return 1 if worse else 0


def _outcomes(path: Path) -> list[dict[str, Any]]:
    """What `mutate --json` wrote; ParityError for anything else."""
    from parity.core.files import json_file

    try:
        outcomes = list(json_file.read(path))
        for each in outcomes:
            json_file.check(str, each["fault"], each["dtype"], each["mode"])
            json_file.check(bool, each["killed"], each["placed"])
    except json_file.DAMAGED as error:
        raise ParityError(
            f"{path} is no result of `python -m parity mutate --json`: {json_file.reason(error)}"
        ) from error
    return outcomes


def markdown(results: int, worse: Sequence[str], better: Sequence[str]) -> str:
    """The verdict as a pull request shows it."""
    verdict = f"{len(worse)} behind the baseline" if worse else "nothing behind the baseline"
    lines = [f"### Parity: {verdict}", "", f"{results} results were compared.", ""]
    lines += [f"- {line}" for line in worse]
    if better:
        lines += ["", f"Better than the baseline, or new ({len(better)}):", ""]
        lines += [f"- {line}" for line in better]
    return "\n".join(lines) + "\n"
