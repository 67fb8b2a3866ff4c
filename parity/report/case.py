"""One result as the page shows it: what it says beyond its records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from parity.core.result import Mode, Record, Result
from parity.report.data import worst
from parity.report.lines import port_of
from parity.report.sound import Heard
from parity.report.text import shares

AROUND = 3  # tensors shown on each side of a first divergence
LEAST = 0.001  # of the final error that is worth a line
COVERED = ("modules", "call_sites", "taps", "parameters", "buffers")


@dataclass(frozen=True)
class Tensor:
    """One tensor of the reference with its record in each mode."""

    path: str
    call: int
    output: int
    records: dict[Mode, Record]

    @property
    def first(self) -> Record:
        return next(iter(self.records.values()))

    @property
    def failed(self) -> bool:
        return any(record.verdict == "fail" for record in self.records.values())


@dataclass(frozen=True)
class PageCase:
    """One result and what the page says of it beyond its records."""

    anchor: str
    result: Result
    divergence: Record | None
    port: str
    around: list[tuple[Tensor, bool]]
    coverage: list[tuple[str, int, int]]
    own: dict[str, Any]
    worst_noise: float | None
    worst_share: float | None
    heard: Heard | None

    def drawn(self, portraits: dict[int, list[Any]]) -> dict[str, Any]:
        """What the page's script shows of a layer beyond its record; see layer.js."""
        places = enumerate(self.result.layers)
        shares = [
            (p.path, p.call, p.share, p.vanished_db if math.isfinite(p.vanished_db) else None)
            for p in self.result.attribution
            if math.isfinite(p.share) and abs(p.share) >= LEAST
        ]
        return {
            "portraits": portraits,
            "divergence": next((i for i, each in places if each is self.divergence), None),
            "fingerprint": self.result.fingerprint,
            "shares": shares,
        }

    @property
    def shares(self) -> list[tuple[str, str, str, str]]:
        """What adds to the final error."""
        return shares(self.result)

    @property
    def name(self) -> str:
        return ", ".join([self.result.case, self.result.dtype, *self.how])

    @property
    def how(self) -> list[str]:
        """The engine, unless it is the usual one."""
        engine = self.result.environment.get("engine", "eager")
        return [] if engine == "eager" else [str(engine)]

    @property
    def compared(self) -> str:
        return f"{sum(c for _, c, _ in self.coverage):,}/{sum(t for _, _, t in self.coverage):,}"


def page_case(index: int, result: Result, shared: dict[str, Any], sound: Heard | None) -> PageCase:
    """The `index`-th result, of which an environment is shown elsewhere, with its stems."""
    divergence = result.first_failure
    return PageCase(
        anchor=f"case-{index}",
        result=result,
        divergence=divergence,
        port=port_of(result, divergence),
        around=_around(result.layers, divergence),
        coverage=_counts(result),
        own={k: v for k, v in result.environment.items() if k not in shared},
        worst_noise=worst(record.noise_ratio for record in result.layers),
        worst_share=worst(record.share for record in result.layers),
        heard=sound,
    )


def _counts(result: Result) -> list[tuple[str, int, int]]:
    """What was covered; what was compared and decides nothing counts against it."""
    counts = [(name, getattr(result.coverage, name)) for name in COVERED]
    counts += [("decided", result.decided)] if result.undecided else []
    return [(name.replace("_", " "), count.compared, count.total) for name, count in counts]


def _around(layers: Sequence[Record], centre: Record | None) -> list[tuple[Tensor, bool]]:
    """The tensors around `centre` in execution order, each with whether it is the one."""
    if centre is None:
        return []
    tensors: dict[tuple[str, str, int, int], Tensor] = {}
    for record in layers:
        key = (record.kind, record.path, record.call, record.output)
        tensor = tensors.setdefault(key, Tensor(record.path, record.call, record.output, {}))
        tensor.records[record.mode] = record
    # Parameters that passed say nothing of how an error travels.
    drawn = [t for t in tensors.values() if t.failed or t.first.kind != "parameter"]
    here = next(i for i, t in enumerate(drawn) if centre in t.records.values())
    window = drawn[max(0, here - AROUND) : here + AROUND + 1]
    return [(tensor, tensor is drawn[here]) for tensor in window]
