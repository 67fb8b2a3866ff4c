"""`python -m parity music`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parity.commands.outputs import written
from parity.core.result import ParityError


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "music", help="what a difference costs in dB of SDR, on scenes whose stems are known"
    )
    parser.add_argument(
        "--preset",
        action="append",
        default=[],
        metavar="NAME",
        dest="presets",
        help="only this published configuration, with seeded weights; may be repeated",
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="your own .th or .safetensors instead"
    )
    parser.add_argument("--scenes", type=int, default=3, metavar="N", help="default 3")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the first scene")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="every stem, scene and stretch")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="a line a model and stem")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run both sides of each model on the scenes; 1 if a gate fails."""
    import pandas as pd

    from parity.core.files.atomic import write_whole
    from parity.music import gates, judge, scenes, show

    if options.scenes < 1:
        raise ParityError(f"--scenes: expected at least 1, found {options.scenes}.")
    if options.seed < 0 or options.seed + options.scenes >= 2**32:
        raise ParityError(f"--seed: expected 0 to 2^32 less --scenes, found {options.seed}.")
    frames = []
    for sides in _sides(options):
        drawn = list(scenes.scenes(options.scenes, options.seed, sides.sources))
        frames.append(gates.table(list(judge.rows(sides, drawn))))
        print(show.text(show.summary(frames[-1])), flush=True)
    frame = pd.concat(frames, ignore_index=True)
    counts = {word: int((frame["verdict"] == word).sum()) for word in show.VERDICTS}
    print(*show.failures(frame), show.GATES, sep="\n")
    print("{pass} rows passed, {fail} failed, {not decided} not decided".format(**counts))
    if options.csv:
        with written(options.csv):
            show.write_csv(options.csv, frame)
    if options.markdown:
        with written(options.markdown):
            write_whole(options.markdown, show.markdown(show.summary(frame)))
    return 1 if counts["fail"] else 0


def _sides(options: argparse.Namespace) -> Iterator[Any]:
    from parity.music import sides

    if options.checkpoint:
        if options.presets:
            raise ParityError("--checkpoint and --preset do not go together.")
        return iter([sides.of_checkpoint(options.checkpoint)])
    names = dict.fromkeys(options.presets or sides.NAMES)
    for name in names:
        sides.check_preset(name)
    return map(sides.of_preset, names)
