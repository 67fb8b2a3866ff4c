"""Prove the port of EnCodec: every layer of every case, and that faults would be found.

Needs torch and transformers, and downloads nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was compared and found; returns 1 if anything of it is not as it should be."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from examples.parity_encodec.cases import BY_NAME, SUITE
    from examples.parity_encodec.faults import fault, run
    from parity.core.mutate import mutate
    from parity.report.html import write_html

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of {', '.join(BY_NAME)}")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report")
    options = parser.parse_args(arguments)
    unknown = set(options.cases) - set(BY_NAME)
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(BY_NAME)}")

    results = []
    for name in options.cases or BY_NAME:
        for dtype in ("float64", "float32"):
            result = SUITE.run_case(BY_NAME[name], dtype, live=True)
            results.append(result)
            print(f"{result.verdict}  {name:7} {dtype}  {result.coverage}", flush=True)
            if result.verdict == "fail":
                first = result.first_failure
                print(f"  {first.path}: {first.reason}" if first else result.coverage.missing)
    if options.html:
        write_html(options.html, results, "EncodecModel")
    exact = [r for result in results for r in result.layers if r.mode == "isolated"]
    worst = max((r.rel_l2 or 0.0 for r in exact if r.dtype == "float64"), default=0.0)
    print(f"worst isolated error in float64: {worst:.1e}")
    if any(result.verdict == "fail" for result in results):
        return 1

    # By case, so that the reference runs once for all that one of them has to find.
    planted = [f for name in options.cases or BY_NAME for f in fault if f.case == name]
    found = 0
    for outcome in mutate(planted, run):
        killed = outcome.killed and outcome.placed
        found += killed
        word = "killed" if killed else "MISSED"
        print(f"{word}  {outcome.fault:30} {outcome.found}", flush=True)
    print(f"faults killed at the right layer: {found}/{len(planted)}")
    return 0 if found == len(planted) else 1


if __name__ == "__main__":
    sys.exit(main())
