"""`python -m benchmarks.scale`: overhead, memory, rows, cluster, simulate."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the measurements of docs/scale.md, and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    each = commands.add_parser("overhead", help="the plain command and --ray in turn")
    each.add_argument("--preset", default="htdemucs")
    each.add_argument("--tracks", type=int, default=4)
    each.add_argument("--seconds", type=float, default=60)
    each.add_argument("--rounds", type=int, default=3)

    each = commands.add_parser("memory", help="of a worker, over many tracks and a long one")
    each.add_argument("--tracks", type=int, default=100)
    each.add_argument("--minutes", type=float, default=30)

    each = commands.add_parser("song", help="what a song costs: core-seconds, memory, bytes")
    each.add_argument("--preset", default="htdemucs")
    each.add_argument("--seconds", type=float, default=60)
    each.add_argument("--threads", type=int, default=None)

    each = commands.add_parser("rows", help="the driver and the manifest, over simulated tracks")
    each.add_argument("--rows", type=int, default=100_000)

    each = commands.add_parser("cluster", help="a driver with workers on local nodes that wait")
    each.add_argument("--nodes", type=int, default=3)
    each.add_argument("--actors", type=int, default=8, help="on each node")
    each.add_argument("--rows", type=int, default=2000)
    each.add_argument("--delay", type=float, default=0.05, help="seconds of a track")

    each = commands.add_parser("simulate", help="1,000 to 1,000,000 songs on 1 to 1,000 nodes")
    each.add_argument("--seed", type=int, default=0)

    options = vars(parser.parse_args(arguments))
    print(_run(options.pop("command"), options))
    return 0


def _run(command: str, options: dict[str, float]) -> str:
    if command == "overhead":
        from benchmarks.scale.overhead import overhead, told

        return told(overhead(**options))  # type: ignore[arg-type]
    if command == "simulate":
        from benchmarks.scale.simulate import table

        return table(**options)  # type: ignore[arg-type]
    from benchmarks.scale import driver, songs

    function = getattr(songs if command in ("memory", "song") else driver, command)
    return str(function(**options))


if __name__ == "__main__":
    sys.exit(main())
