"""`python -m benchmarks`: run, report, gate, gpu, card."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORDS = Path("benchmarks.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0: done, 1: something was refused, failed or got slower, 2: wrong usage."""
    options = _parser().parse_args(arguments)
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="verify and time; the short selection takes 10 minutes")
    run.add_argument("--full", action="store_true", help="all cases; hours, 12 GB of memory")
    _for_runs(run)
    run.set_defaults(run=_run, gpu=False)

    gpu = commands.add_parser("gpu", help="the port against PyTorch on the same card")
    _for_runs(gpu)
    gpu.set_defaults(run=_gpu, full=True, gpu=True)

    card = commands.add_parser("card", help="the same where TensorFlow sees no card, by XLA alone")
    steps = card.add_subparsers(required=True, metavar="STEP")
    made = steps.add_parser("write", help="graphs as XLA takes them; needs TensorFlow and no card")
    made.add_argument("folder", type=Path)
    made.add_argument("-m", dest="models", nargs="+", default=["htdemucs"], help="of the suite")
    made.add_argument("-b", dest="batches", nargs="+", type=int, default=[1, 8])
    made.set_defaults(run=_card_write)
    there = steps.add_parser("run", help="verify and time; needs jax, PyTorch and demucs")
    there.add_argument("folder", type=Path)
    there.add_argument("-o", dest="output", type=Path, default=Path("card.json"))
    there.set_defaults(run=_card_run)

    report = commands.add_parser("report", help="write docs/benchmarks.md and its pictures")
    report.add_argument("records", nargs="+", type=Path, help="what `run` wrote")
    report.add_argument("--docs", type=Path, default=ROOT / "docs", metavar="FOLDER")
    report.add_argument("--html", type=Path, default=Path("benchmarks.html"), metavar="FILE")
    report.set_defaults(run=_report)

    gate = commands.add_parser("gate", help="fail if HEAD is slower than BASE")
    gate.add_argument("base", help="a commit")
    gate.add_argument("head", nargs="?", default="HEAD", help="another one (default: HEAD)")
    gate.add_argument("--rounds", type=int, default=15, help="default: 15")
    gate.add_argument("-k", dest="keyword", default="", help="cases whose name has this")
    gate.set_defaults(run=_gate)
    return parser


def _for_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-k", dest="keyword", default="", help="pytest's expression, by name")
    parser.add_argument("-o", dest="output", type=Path, default=RECORDS, help="the records, JSON")
    parser.add_argument("--threads", type=int, help="of either side (default: all processors)")


def _run(options: argparse.Namespace) -> int:
    import pytest

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not options.gpu:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    arguments = [str(ROOT / "benchmarks" / "test_suite.py"), "--rootdir", str(ROOT)]
    arguments += ["-c", str(ROOT / "pyproject.toml"), f"--benchmark-json={options.output}"]
    for name in ("full", "gpu"):
        arguments += [f"--{name}"] if getattr(options, name) else []
    arguments += ["-k", options.keyword] if options.keyword else []
    arguments += ["--threads", str(options.threads)] if options.threads else []
    arguments += ["-q", "--benchmark-columns=min,median,max,rounds"]
    # pytest-benchmark would say by a warning, which is an error here, what is said below.
    status = int(pytest.main([*arguments, "-W", "ignore:Not saving anything"]))
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        print(
            f"error: no case fits -k {options.keyword!r}: see benchmarks/cases.py.", file=sys.stderr
        )
        return 2
    return status


def _gpu(options: argparse.Namespace) -> int:
    from benchmarks.cards import missing

    reason = missing()
    if reason:
        print(f"error: {reason} Nothing was measured.", file=sys.stderr)
        return 1
    return _run(options)


def _card_write(options: argparse.Namespace) -> int:
    from benchmarks.card.module import write

    for path in write(options.folder, options.models, options.batches):
        print(path)
    return 0


def _card_run(options: argparse.Namespace) -> int:
    from benchmarks.card.run import run
    from benchmarks.timing import WrongResult
    from demucs_tf.errors import DemucsTFError
    from demucs_tf.utils.atomic import write_whole

    try:
        record = run(options.folder, print)
    except (DemucsTFError, WrongResult) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with write_whole(options.output) as new:
        new.write_text(json.dumps(record), encoding="utf-8")
    return 0


def _report(options: argparse.Namespace) -> int:
    from benchmarks.report import write

    for path in write(options.records, options.docs, options.html):
        print(path)
    return 0


def _gate(options: argparse.Namespace) -> int:
    from benchmarks.gate import compare_commits

    return compare_commits(options.base, options.head, options.rounds, options.keyword)


if __name__ == "__main__":
    sys.exit(main())
