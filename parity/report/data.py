"""Results as the page holds them, and numbers as it shows them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from parity.core.result import Record, Result

DIGITS = 4  # significant digits of a metric in the page's data; three of them are shown

# Columns of the page's data. Texts repeat (a path stands in two modes), so they are stored as
# codes into a list of distinct values; numbers are stored as they are.
TEXTS = ("path", "kind", "mode", "dtype", "verdict", "reason", "source", "module_class")
LISTS = ("shape", "max_abs_index")
COUNTS = ("call", "output")
METRICS = (
    "max_abs", "rel_l2", "max_ulp", "snr_db", "si_sdr_db", "noise_ratio", "tolerance", "gain",
)  # fmt: skip
NUMBER = re.compile(r"(fail )?[-+−]?(\d[\d,]*\.?\d*(e[-+−]?\d+)?|inf|nan|∞|NaN)( %| dB)?")


@dataclass(frozen=True)
class Table:
    """A table that the page shows below its cases: texts, with what they mean above them."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def numeric(self) -> list[bool]:
        """Which columns have nothing but numbers, which are aligned."""
        return [
            any(cells) and all(not cell or NUMBER.fullmatch(cell) for cell in cells)
            for cells in zip(*self.rows, strict=True)
        ]


def worst(values: Iterable[float | None]) -> float | None:
    """The largest value, NaN if there is one, None if there are none."""
    known = [value for value in values if value is not None]
    if any(math.isnan(value) for value in known):
        return math.nan
    return max(known, default=None)


def distinct(values: Iterable[str]) -> list[str]:
    """The values, each once, in the order of their first appearance."""
    return list(dict.fromkeys(values))


def columns(layers: Sequence[Record], ports: Sequence[str]) -> dict[str, Any]:
    """Records as columns, with the port's lines; the page's script reads them in `decode`."""
    columns: dict[str, Any] = {"rows": len(layers)}
    for name in TEXTS:
        columns[name] = _coded([getattr(record, name) for record in layers])
    for name in LISTS:
        values = [getattr(record, name) for record in layers]
        columns[name] = _coded(["" if v is None else ", ".join(map(str, v)) for v in values])
    for name in COUNTS:
        columns[name] = [getattr(record, name) for record in layers]
    for name in METRICS:
        columns[name] = [_plain(getattr(record, name)) for record in layers]
    columns["port"] = _coded(list(ports))
    columns["share"] = [_plain(record.share) for record in layers]
    return columns


def overview(results: Sequence[Result]) -> dict[str, Any]:
    """The worst noise ratio of every case by kind of layer; `overview` in overview.js draws it.

    A kind is a class of modules, or the functional steps of a class. What is held to equal bits
    (parameters, what only moves data) has no noise. Kinds come in the order of their worst.
    """
    worst_of: dict[tuple[int, str, str], Record] = {}
    for case, result in enumerate(results):
        for record in result.layers:
            silent = record.noise_ratio is None and record.verdict != "fail"  # whole numbers
            if record.kind == "parameter" or not record.tolerance or silent:
                continue
            kind = f"{record.module_class} steps" if record.kind == "tap" else record.module_class
            key = (case, kind, record.mode)
            if key not in worst_of or _badness(record) > _badness(worst_of[key]):
                worst_of[key] = record
    height: dict[str, float] = {}
    for (_, kind, _), record in worst_of.items():
        height[kind] = max(height.get(kind, 0.0), _badness(record)[1])
    kinds = sorted(height, key=lambda kind: (-height[kind], kind))
    points = [
        (
            case,
            kinds.index(kind),
            mode,
            _plain(r.noise_ratio),
            _plain(_limit(r)),
            r.verdict == "fail",
        )
        for (case, kind, mode), r in worst_of.items()
    ]
    names = ("case", "kind", "mode", "noise", "limit", "failed")
    return {
        "cases": [
            {"anchor": f"case-{i}", "dtype": r.dtype, "name": f"{r.case}, {r.dtype}"}
            for i, r in enumerate(results)
        ],
        "dtypes": distinct(result.dtype for result in results),
        "kinds": kinds,
        "points": {name: [point[i] for point in points] for i, name in enumerate(names)},
    }


def _badness(record: Record) -> tuple[bool, float]:
    """What makes one record worse than another: that it failed, then how noisy it is."""
    ratio = record.noise_ratio
    failed = record.verdict == "fail"
    return failed, math.inf if ratio is None or math.isnan(ratio) else ratio


def _limit(record: Record) -> float | None:
    """The tolerance as a noise ratio."""
    if not record.rel_l2 or not record.noise_ratio or not math.isfinite(record.rel_l2):
        return None
    return record.tolerance * record.noise_ratio / record.rel_l2


def _coded(values: list[str]) -> dict[str, list[Any]]:
    codes = {value: code for code, value in enumerate(dict.fromkeys(values))}
    return {"values": list(codes), "codes": [codes[value] for value in values]}


def _plain(value: float | None) -> float | int | str | None:
    """A metric as JSON has it: rounded, and a text where JSON has no number."""
    if value is None:
        return None
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e6 else rounded


def as_json(content: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever its texts hold."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def number(value: float | None) -> str:
    """A metric as shown; `number` in values.js does the same."""
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        rounded = float(f"{value:.3g}")
        text = f"{rounded:.5f}".rstrip("0").rstrip(".")
    else:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")


def percent(value: float | None) -> str:
    """A share of the tolerance as shown; `percent` in values.js does the same."""
    if value is None or not math.isfinite(value):
        return number(value)
    if value >= 10:
        return f"{number(value)} ×"
    if 0 < value < 0.001:
        return "< 0.1 %"
    return f"{number(100 * value)} %"
