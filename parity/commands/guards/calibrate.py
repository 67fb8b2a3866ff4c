"""`python -m parity calibrate`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from parity.commands.outputs import written
from parity.core.files.atomic import write_whole
from parity.core.result import ParityError


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "calibrate", help="run all cases over threads, kernels and engines; tolerances follow"
    )
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="PATTERN",
        help='which settings to run: "graph*", "*2 threads*"; none given: those not measured yet',
    )
    parser.add_argument("--file", type=Path, metavar="FILE", help="default: with the goldens")
    parser.add_argument("--case", metavar="NAME", default="", help="one case, as `run` has it")
    parser.add_argument("--show", action="store_true", help="run nothing, print what is there")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="put the table into a Markdown page, at its marks"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run what is missing, keep each run as it ends, and say what the tolerances are worth."""
    from parity.core.guards import calibration
    from parity.run import golden_folder

    path = options.file or golden_folder() / "calibration.json"
    there = _there(path)
    for setting in [] if options.show else _wanted(options.settings, there["runs"]):
        start = time.monotonic()
        there["runs"][setting] = _run(setting, options.case)
        calibration.write(path, there)
        print(f"{setting}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    if not there["runs"]:
        raise ParityError(f"{path} has no run yet: run `python -m parity calibrate`.")
    print(calibration.table(there))
    found = calibration.problems(there)
    if options.page:
        with written(options.page):
            text = options.page.read_text(encoding="utf-8")
            write_whole(options.page, calibration.page(text, there))
    missing = len(calibration.SETTINGS) - len(there["runs"])
    print("\n".join(found) or f"{len(there['runs'])} settings, no false alarm, nothing vacuous")
    if missing:
        print(f"{missing} settings are not measured")
    return 1 if found else 0


def _there(path: Path) -> dict[str, Any]:
    """What has been measured with the present factors."""
    from parity.core import tolerances
    from parity.core.guards import calibration

    empty: dict[str, Any] = {"factors": tolerances.factors(), "runs": {}}
    if not path.exists():
        return empty
    found = calibration.read(path)
    return found if found["factors"] == empty["factors"] else empty


def _wanted(patterns: list[str], there: dict[str, Any]) -> list[str]:
    from parity.core.guards.calibration import SETTINGS

    if not patterns:
        return [name for name in SETTINGS if name not in there]
    found = [name for name in SETTINGS if any(fnmatch(name, pattern) for pattern in patterns)]
    if not found:
        known = "; ".join(SETTINGS)
        raise ParityError(f"no setting is {' or '.join(patterns)}; there are: {known}.")
    return found


# XLA keeps what it has compiled: with all cases in one process it ended in a segmentation fault.
_AT_ONCE = 24


def _run(setting: str, case: str) -> dict[str, Any]:
    """In processes of their own, since the settings are read when TensorFlow is imported."""
    from parity.cases import IN_REPOSITORY
    from parity.core.guards import calibration
    from parity.core.result import read_json
    from parity.demucs import SUBJECT

    names = [case] if case else [each.name for each in IN_REPOSITORY]
    engine, settings = calibration.SETTINGS[setting]
    results = []
    for first in range(0, len(names), _AT_ONCE):
        with TemporaryDirectory() as folder:
            path = Path(folder, "results.json")
            command = [sys.executable, "-m", "parity", "run", "--json", str(path)]
            command += ["--engine", engine, "--mode", calibration.ENGINES[engine]]
            for name in names[first : first + _AT_ONCE]:
                command += ["--case", name]
            done = subprocess.run(
                command, env={**os.environ, **settings}, capture_output=True, text=True, check=False
            )
            if done.returncode not in (0, 1):
                last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
                raise ParityError(f"the run with {setting} ended with {done.returncode}: {last}")
            results += read_json(path)
        count = min(first + _AT_ONCE, len(names))
        print(f"{setting}: {count} of {len(names)} cases", file=sys.stderr, flush=True)
    return calibration.condensed(SUBJECT, results)
