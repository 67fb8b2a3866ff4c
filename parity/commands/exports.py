"""`python -m parity exports`."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from parity.cases import BY_NAME, IN_REPOSITORY, Case
from parity.commands.capture import add_case
from parity.commands.outputs import written
from parity.core.files.atomic import write_whole
from parity.core.result import ParityError
from parity.select import matches, select

_IN_FILES = ("LiteRT float32", "ONNX float32")


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "exports", help="compare TensorFlow's engines and exported files with goldens"
    )
    add_case(parser)
    parser.add_argument(
        "-k",
        dest="expression",
        default="",
        metavar="EXPR",
        help="only cells whose case or column fits: names, and, or, not",
    )
    parser.add_argument(
        "--full", action="store_true", help="all stored cases of whole models, not the dozen"
    )
    parser.add_argument(
        "--layers",
        action="store_true",
        help="look into LiteRT and ONNX graphs: name the first layer that is off",
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare, and print a table, or what a graph's layers give."""
    cases = _cases(options)
    # It advises against a trace for each case.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return _layers(options, cases) if options.layers else _table(options, cases)


def _cases(options: argparse.Namespace) -> list[Case]:
    from parity.exports.columns import ROWS

    if options.cases and options.full:
        raise ParityError("--case and --full do not go together.")
    if options.cases:
        cases = select(options.cases)
        for case in cases:
            if case.apply or case not in IN_REPOSITORY:
                raise ParityError(f"{case.name} is no case of a whole model with a golden.")
        return cases
    if options.full:
        return [each for each in IN_REPOSITORY if not each.apply]
    return [BY_NAME[row.case] for row in ROWS]


def _table(options: argparse.Namespace, cases: list[Case]) -> int:
    from parity.exports import show
    from parity.exports.columns import COLUMNS
    from parity.exports.table import Cell, cells

    found: list[Cell] = []
    for case in cases:
        columns = [
            column
            for column in COLUMNS
            if not options.expression or matches(options.expression, f"{case.name} {column.name}")
        ]
        for cell in cells(case, columns) if columns else ():
            found.append(cell)
            print(f"{cell.verdict.upper():7}  {cell.case}  {cell.column}  {show.text(cell)}")
    if not found:
        raise ParityError("Nothing was compared: no case fits.")
    print("", show.table(found), *show.reasons(found), sep="\n")
    count = {word: sum(each.verdict == word for each in found) for word in ("pass", "fail")}
    refused = len(found) - sum(count.values())
    print(f"{count['pass']} passed, {count['fail']} failed, {refused} refused")
    if options.json:
        with written(options.json):
            content = [each.plain() for each in found]
            write_whole(options.json, json.dumps(content, indent=1) + "\n")
        print(f"results: {options.json}")
    return 1 if count["fail"] else 0


def _layers(options: argparse.Namespace, cases: list[Case]) -> int:
    from parity.commands import outputs
    from parity.exports import columns
    from parity.exports.layers import check_layers
    from parity.report import text

    results = []
    for case in cases:
        for name in _IN_FILES:
            if options.expression and not matches(options.expression, f"{case.name} {name}"):
                continue
            result = check_layers(case, columns.BY_NAME[name])
            results.append(result)
            print(f"{name}: {text.details(result) if result.failures else text.summary(result)}")
            for missing in result.coverage.missing:
                print(f"  {missing}")
    if not results:
        raise ParityError("Nothing was compared: no case fits.")
    outputs.write(results, options.json, None)
    return 1 if any(result.failures for result in results) else 0
