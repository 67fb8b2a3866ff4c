"""A line through what was measured over the length of a track: is time linear, and memory flat."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

_FEWEST = 3  # points; a line through two is always straight


def lines(table: pd.DataFrame, curve: str = "minutes") -> Iterator[str]:
    """A sentence for each way and figure of a curve: constant, slope, and R² of the fit."""
    points = table[table["curve"] == curve]
    for (way, figure), rows in points.groupby(["way", "figure"], sort=False):
        if figure not in _UNITS or len(rows) < _FEWEST:
            continue
        at = rows["at"].to_numpy(float)
        unit, scale = _UNITS[figure]
        values = rows["median"].to_numpy(float) * scale
        slope, constant, squared = fitted(at, values)
        yield (
            f"{way}, {figure.replace('seconds', 'time')}: {constant:.3g} {unit} and "
            f"{slope:.3g} {unit} for each minute, R² {squared:.4f}, over {at.min():g} to "
            f"{at.max():g} minutes."
        )


_UNITS = {"seconds": ("s", 1.0), "peak": ("MB", 1e-6)}


def fitted(at: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Slope, constant and R² of the line with the least squares."""
    slope, constant = np.polyfit(at, values, 1)
    left = values - (slope * at + constant)
    squared = 1 - left.var() / values.var() if values.var() else 1.0  # flat is a line, too
    return float(slope), float(constant), float(squared)
