"""`python -m parity verify`, `diff` and `coverage`: of goldens, without running anything."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from parity.commands.capture import add_case
from parity.core.files.numbers import whole_name
from parity.core.result import ParityError, kind_of

MEASURED = {"baseline.json", "calibration.json"}  # what runs saw, beside what they are held to


def add(commands: Any) -> None:
    """Add the commands."""
    parser = commands.add_parser("verify", help="read every golden: none damaged, none unused")
    add_case(parser)
    parser.add_argument("--golden", type=Path, metavar="DIR", help="goldens from there")
    parser.set_defaults(run=verify)
    parser = commands.add_parser("diff", help="what differs between two sets of goldens")
    add_case(parser)
    parser.add_argument("old", type=Path, metavar="A")
    parser.add_argument("new", type=Path, metavar="B")
    parser.set_defaults(run=diff)
    parser = commands.add_parser("coverage", help="which steps and classes which cases hear")
    add_case(parser)
    parser.add_argument(
        "--branches",
        action="store_true",
        help="run them under coverage.py: which branches of the port none takes, and why",
    )
    parser.set_defaults(run=coverage)


def _stored(names: list[str]) -> list[Any]:
    from parity.cases import IN_REPOSITORY
    from parity.select import select

    return [case for case in select(names) if case in IN_REPOSITORY]


def verify(options: argparse.Namespace) -> int:
    """Read goldens: hashes, shapes, the row that each was made for, and what belongs to none."""
    from parity.run import SUITE, golden_folder

    folder = options.golden or golden_folder()
    cases = _stored(options.cases)
    problems = []
    for case in cases:
        try:
            SUITE.golden(case, folder).read()
        except ParityError as error:
            problems.append(str(error))
    if not options.cases:
        known = {f"{case.name}{suffix}" for case in cases for suffix in (".json", ".npz")}
        files = {path.name for path in folder.glob("*") if path.suffix in (".json", ".npz")}
        surplus = sorted(name for name in files - MEASURED if whole_name(name) not in known)
        problems += [f"{folder / name} belongs to no case: remove it" for name in surplus]
    print("\n".join(problems), end="\n" if problems else "")
    print(f"{len(cases)} goldens, {len(problems)} problems")
    return 1 if problems else 0


def diff(options: argparse.Namespace) -> int:
    """Compare two sets case by case: equal bits, equal but for rounding, or what differs."""
    from parity.core.files.changes import changes, worst
    from parity.run import SUITE

    for folder in (options.old, options.new):
        if not folder.is_dir():
            raise ParityError(f"{folder}: expected a folder of goldens, found none.")
    seen = different = 0
    for case in _stored(options.cases):
        pair = [SUITE.golden(case, folder) for folder in (options.old, options.new)]
        there = [golden.path.exists() for golden in pair]
        if not any(there) and not options.cases:
            continue
        seen += 1
        if there == [True, True]:
            old, new = (golden.read() for golden in pair)
            problems = changes(old, new, lines=False)
            found = problems[0] if problems else f"worst relative L2 {worst(old, new):.2g}"
        else:
            found = (
                f"only in {options.old if there[0] else options.new}" if any(there) else "nowhere"
            )
            problems = [found]
        different += bool(problems)
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        print(f"{'DIFFERS' if problems else 'equal':8} {case.name}: {found}{more}", flush=True)
    if not seen:
        raise ParityError(f"{options.old} and {options.new} have no golden of any case.")
    print(f"{seen} cases, {different} differ")
    return 1 if different else 0


def coverage(options: argparse.Namespace) -> int:
    """Count the cases and calls that hear each step of the subject and each class."""
    if options.branches:
        return _branches(options.cases)
    from parity.demucs import SUBJECT
    from parity.run import SUITE

    cases: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for case in _stored(options.cases):
        events = SUITE.golden(case).manifest()["events"]
        kinds = [kind_of(event["path"], event["owner"]) for event in events]
        calls.update(kinds)
        cases.update(set(kinds))
    taps = {f"{tap.owner}:{tap.name}" for tap in SUBJECT.taps}
    unheard = sorted(taps - calls.keys())
    width = max(map(len, calls), default=0)
    print(f"{'class or step':{width}}  cases  calls")
    for kind, count in sorted(calls.items(), key=lambda item: (item[1], item[0])):
        print(f"{kind:{width}}  {cases[kind]:5}  {count:5}")
    for kind in unheard:
        print(f"not heard: {kind}")
    print(f"{len(taps) - len(unheard)} of {len(taps)} steps heard, {len(calls)} classes and steps")
    return 1 if unheard and not options.cases else 0


def _branches(cases: list[str]) -> int:
    """The branches of the port that no case takes: by reason, and those without one."""
    from parity.mutants import branches
    from parity.mutants.unheard import REASONS

    files = branches.measure(cases)
    known, bare, idle = branches.explained(branches.unheard(files), REASONS)
    for why in dict.fromkeys(reason.why for _, reason in known):
        print(why)
        print("\n".join(f"  {branch}" for branch, reason in known if reason.why == why))
    taken = sum(len(found["executed_branches"]) for found in files.values())
    print("\n".join(f"NO REASON  {branch}" for branch in bare), end="\n" if bare else "")
    stale = [] if cases else idle  # some cases alone hear less
    print(
        "\n".join(f"NO BRANCH  {each.where}: {each.way}" for each in stale), end="\n" * bool(stale)
    )
    print(f"{taken} branches taken, {len(known)} not for a reason, {len(bare)} without one")
    return 1 if bare or stale else 0
