"""Write pieces with true stems, for training: `python -m examples.music FOLDER --pieces 200`.

Needs the extra `training`, and the Debian packages that the error names where one is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from examples.music.corpus import Order, write
from examples.music.instruments import SPLITS
from examples.music.render.fluidsynth import check_installed


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pieces; 0 when all are there, 1 with one line on what went wrong."""
    parser = argparse.ArgumentParser("python -m examples.music", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--pieces", type=int, default=200, metavar="N")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of each piece")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=("wav", "flac"), default="wav", dest="kind")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    options = parser.parse_args(arguments)
    try:
        order = Order(
            options.folder,
            options.split,
            options.pieces,
            options.seconds,
            options.seed,
            options.kind,
        )
        check_installed()
        missing = len(order.missing())
        done = order.pieces - missing
        for _ in tqdm(write(order, options.jobs), total=order.pieces, initial=done, unit="piece"):
            pass
    except (OSError, RuntimeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next run goes on with the pieces that are missing", file=sys.stderr)
        return 130
    print(f"{options.folder / options.split}: {missing} pieces written, {done} were there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
