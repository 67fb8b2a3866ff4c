"""Draw the curves of a training: loss, and SDR of each stem, over steps.

python examples/curves.py run/log.csv curves.png
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Draw one log into one picture."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: curves.py LOG.csv PICTURE.png")
    log, picture = map(Path, sys.argv[1:])
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    draw(rows, picture)


def draw(rows: list[dict[str, str]], picture: Path) -> None:
    """Two panels, side by side."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    for name, label in (("loss", "training, augmented"), ("val_loss", "validation")):
        left.plot(*column(rows, name), label=label)
    for name in (name for name in rows[-1] if name.startswith("val_sdr_")):
        right.plot(*column(rows, name), label=name.removeprefix("val_sdr_"))
    left.set(xlabel="steps", ylabel="mean absolute error", ylim=(0, None))
    right.set(xlabel="steps", ylabel="SDR in dB, validation")
    for axis in (left, right):
        axis.legend()
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)


def column(rows: list[dict[str, str]], name: str) -> tuple[Any, Any]:
    """Steps and values of those epochs that have them."""
    there = [row for row in rows if row.get(name)]
    return [int(row["step"]) for row in there], [float(row[name]) for row in there]


if __name__ == "__main__":
    main()
