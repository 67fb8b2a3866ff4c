"""`python -m parity mutate`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from parity.commands.outputs import written
from parity.core.files.atomic import write_whole
from parity.core.mutate import Outcome
from parity.core.result import Mode, ParityError


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("mutate", help="inject known faults, print the mutation score")
    parser.add_argument("-k", dest="expression", default="", metavar="EXPR")
    parser.add_argument("--dtype", choices=["float32", "float64", "both"], default="both")
    parser.add_argument("--mode", choices=["isolated", "cumulative", "both"], default="both")
    parser.add_argument(
        "--machine",
        type=int,
        metavar="N",
        help="N mutants drawn from the port's source instead of the known faults",
    )
    parser.add_argument("--seed", type=int, default=0, help="which N (default 0)")
    parser.add_argument("--jobs", type=int, default=0, help="processes (default: one a core)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Inject the faults that fit, one at a time, or machine-made mutants."""
    return _known(options) if options.machine is None else _machine(options)


def _known(options: argparse.Namespace) -> int:
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
    dtypes = ["float64", "float32"] if options.dtype == "both" else [options.dtype]
    modes: list[Mode] = [options.mode] if options.mode != "both" else ["isolated", "cumulative"]
    outcomes = []
    for dtype, mode in product(dtypes, modes):
        heard = [f for f in chosen if dtype == "float64" or not f.beyond_float32]
        for fault in [f for f in chosen if f not in heard]:
            print(f"beyond {dtype}  {fault.name:38}  {fault.case}", flush=True)
        found = []
        for outcome in mutate(heard, partial(faults.run, dtype=dtype, mode=mode), mode):
            print(f"{_word(outcome):9}  {outcome.fault:38}  {outcome.case:26}  {outcome.found}")
            outcomes.append({**asdict(outcome), "dtype": dtype, "mode": mode})
            found.append(outcome.killed and outcome.placed)
        print(
            f"mutation score, {dtype}, {mode}: {sum(found)}/{len(found)} killed at the right layer",
            flush=True,
        )
    if options.json:
        with written(options.json):
            write_whole(options.json, json.dumps(outcomes, indent=1) + "\n")
    return 0 if all(each["killed"] and each["placed"] for each in outcomes) else 1


def _word(outcome: Outcome) -> str:
    if not outcome.killed:
        return "SURVIVED"
    return "killed" if outcome.placed else "MISPLACED"


def _machine(options: argparse.Namespace) -> int:
    from parity import mutants as machine
    from parity.commands.outputs import Progress
    from parity.core.guards import hunt, mutants
    from parity.where import measured

    if options.machine < 1 or options.expression:
        raise ParityError("--machine takes a number of mutants, 1 or more, and no -k.")
    progress = Progress(False)
    checks = []
    for number, count, each in machine.heard(measured.folder(), options.jobs):
        progress(f"what each check hears: {number} of {count}, {each.check}")
        checks += machine.checks(each)
    progress.clear()
    drawn = mutants.draw(machine.MODULES, options.machine, options.seed)
    equal = [mutant for mutant in drawn if machine.why_equivalent(mutant)]
    for mutant in equal:
        print(f"equivalent {mutant} ({machine.why_equivalent(mutant)})", flush=True)
    hunted = [mutant for mutant in drawn if mutant not in equal]
    caught: list[hunt.Caught] = []
    for end in hunt.hunt_all(machine.judge, hunted, checks, machine.MODULES, options.jobs):
        print(f"{end.fate.upper():10} {end.mutant}  [{end.check}] {end.where}", flush=True)
        caught.append(end)
    fates = ("killed", "crashed", "endless", "survived")
    print(f"{'class':16}" + "".join(f"{fate:>10}" for fate in fates))
    for kind, row in sorted(hunt.by_class(caught).items()):
        print(f"{kind:16}" + "".join(f"{row.get(fate, 0):10}" for fate in fates))
    survived = sum(end.fate == "survived" for end in caught)
    print(
        f"machine mutation score: {len(caught) - survived}/{len(caught)}, seed {options.seed}; "
        f"{len(equal)} equivalent"
    )
    if options.json:
        with written(options.json):
            write_whole(options.json, json.dumps([asdict(c) for c in caught], indent=1) + "\n")
    return 1 if survived else 0
