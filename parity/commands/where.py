"""`python -m parity where`."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

MOST = 4  # places shown in full


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "where", help="our code, cases, tolerances and faults of a line or name of the reference"
    )
    parser.add_argument(
        "question",
        metavar="LINE",
        help="htdemucs.py:475 or 475-480, a class, attribute, function or step, or pasted code",
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="errors from there, not from the last `run`"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="long lists in full")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Answer; 1 if there is nothing to answer with."""
    from parity.core.result import ParityError, read_json
    from parity.where import measured, nearest, show, where

    if not re.search(r"\w", options.question):
        raise ParityError(f"expected a line, a name or code, found {options.question!r}.")
    answers = where(options.question)
    if not answers:
        close = nearest(options.question)
        print(f"nothing found for {options.question!r}", file=sys.stderr)
        if close:
            print("nearest:", *close, sep="\n  ", file=sys.stderr)
        return 1
    errors = show.kept(answers)
    if options.results:
        results = read_json(options.results)
        errors = measured.of_results(results, options.results.stat().st_mtime)
    shown = answers if options.verbose else answers[:MOST]
    print("\n\n".join("\n".join(show.answer(a, errors, options.verbose)) for a in shown))
    if len(answers) > len(shown):
        print("\nalso (-v):", *(answer.title for answer in answers[len(shown) :]), sep="\n  ")
    return 0
