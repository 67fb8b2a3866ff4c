"""Compares what the port gives as it comes, and keeps no more of it than is looked at again."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core import layouts, tolerances
from parity.core.compare import UNIT_ROUNDOFF, Difference, compare
from parity.core.events import Event, Expected, Key
from parity.core.kept.portrait import Portrait, portrait_of
from parity.core.result import Mode, Record, badness
from parity.core.subject import Subject

Array = npt.NDArray[Any]
Place = tuple[Mode, Key, int]  # of an output

DRAWN = 8  # portraits of a case unless all are asked for


class Judge:
    """Holds one output after the other against what was captured.

    Args:
        subject: what is known of both sides.
        expected: what was captured of the reference.
        dtype: of the port.
        wider: factors of tolerances, by the names of taps.
        draw: whether every tensor gets a portrait, not only those that come closest to their
            tolerance.

    Attributes:
        records: of each mode, by call; of calls that gave as many outputs as the reference's alone.
        surplus: calls that the reference does not have.
        kept: outputs that failed, and those of the model itself, in the reference's layout.
    """

    def __init__(
        self,
        subject: Subject,
        expected: Expected,
        dtype: str,
        wider: Mapping[str, float] | None = None,
        draw: bool = False,
    ) -> None:
        self.records: dict[Mode, dict[Key, list[Record]]] = {}
        self.surplus: set[Key] = set()
        self.kept: dict[Place, Array] = {}
        self._subject, self._expected, self._dtype = subject, expected, dtype
        self._wider = wider or {}
        self._events = {event.key: event for event in expected.events}
        self._most = None if draw else DRAWN
        self._drawn: list[tuple[tuple[bool, float], int, Portrait]] = []  # a heap, the best first
        self._number = count()
        self._last: _Held | None = None
        self._order = {event.key: place for place, event in enumerate(expected.events)}
        self._first_failed = len(self._order)

    def taking(self, mode: Mode) -> Callable[[Key, Sequence[Array]], None]:
        """What takes the outputs of calls of a mode, in the port's layout."""
        records = self.records.setdefault(mode, {})

        def take(key: Key, outputs: Sequence[Array]) -> None:
            event = self._events.get(key)
            if event is None:
                self.surplus.add(key)
            elif len(outputs) == len(event.outputs):
                records[key] = [
                    self._record(event, index, mode, output) for index, output in enumerate(outputs)
                ]

        return take

    def forget(self, mode: Mode) -> None:
        """Take back what came of a pass that did not end."""
        self.records[mode] = {}

    def failed_before(self, event: Event) -> bool:
        """Whether something failed that the reference does before a call."""
        return self._first_failed < self._order[event.key]

    def compared(self, event: Event) -> bool:
        """Whether a call was compared in all modes."""
        return all(event.key in records for records in self.records.values())

    def layers(self) -> Iterator[Record]:
        """All records in the reference's order, both modes of a call next to each other.

        The gain of the real pass is the error of an output over the largest error among the call's
        inputs, those that are the output of an earlier call: what is captured is there once.
        """
        errors: dict[int, float] = {}  # by identity

        for event in self._expected.events:
            for mode, records in self.records.items():
                for record in records.get(event.key, ()):
                    if mode == "cumulative" and record.rel_l2 is not None:
                        known = [error for x in event.inputs if (error := errors.get(id(x)))]
                        gain = record.rel_l2 / max(known) if known else None
                        errors[id(event.outputs[record.output])] = record.rel_l2
                        yield replace(record, gain=gain)
                    else:
                        yield record

    @property
    def portraits(self) -> tuple[Portrait, ...]:
        """The worst first."""
        return tuple(portrait for *_, portrait in sorted(self._drawn, key=_rank, reverse=True))

    def _record(self, event: Event, index: int, mode: Mode, output: Array) -> Record:
        declared, wanted = self._subject.layouts_of(event)[1][index], event.outputs[index]
        factor = 1.0
        if event.kind == "tap":
            factor = self._wider.get(event.path.rpartition(":")[2], 1.0)
        limit = factor * tolerances.tolerance(self._subject, event, index, mode, self._dtype)
        floor = tolerances.floor(self._subject, event, index, mode, self._dtype)
        floating = np.issubdtype(wanted.dtype, np.floating)
        last = self._last
        if last is None or not last.same(output, wanted, declared, limit, floor):
            actual = layouts.to_reference(output, declared)
            difference = compare(actual, wanted, limit, floor, self._dtype if floating else "")
            last = _Held(output, wanted, declared, limit, floor, actual, difference)
        self._last, actual, difference = last, last.actual, last.difference
        fields = plain(difference, wanted)
        if floating and not difference.passed and not self._subject.moves(event):
            fields.update(_cancelled(difference, event, wanted, self._dtype))
        record = Record(
            path=event.path,
            call=event.call,
            output=index,
            kind="output" if event.path == "" else event.kind,
            mode=mode,
            dtype=self._dtype,
            shape=wanted.shape,
            tolerance=limit,
            source=event.source,
            module_class=event.owner,
            **fields,
        )
        if record.verdict == "fail":
            self._first_failed = min(self._first_failed, self._order[event.key])
        if record.verdict == "fail" or event is self._expected.root:
            self.kept[mode, event.key, index] = actual
        if record.verdict == "fail" or (record.share and record.rel_l2):
            self._draw(record, actual, wanted, declared)
        return record

    def _draw(self, record: Record, actual: Array, wanted: Array, layout: str) -> None:
        """Make a portrait, if it is wanted of all or of one that is worse than others."""
        rank = badness(record)
        full = self._most is not None and len(self._drawn) >= self._most
        if full and rank <= self._drawn[0][0]:
            return
        portrait = portrait_of(
            actual, wanted, layout, record.path, record.call, record.output, record.mode
        )
        if portrait is not None:
            push = heapq.heappushpop if full else heapq.heappush
            push(self._drawn, (rank, -next(self._number), portrait))


@dataclass(frozen=True)
class _Held:
    """An output in the port's layout that was held against what was captured, and what came of it.

    A layer mostly returns what the last layer inside it did.
    """

    output: Array
    wanted: Array
    declared: str
    limit: float
    floor: float
    actual: Array
    difference: Difference

    def same(self, output: Array, wanted: Array, declared: str, limit: float, floor: float) -> bool:
        """Whether the two are, and are held against each other in the same way."""
        ours = self.declared, self.limit, self.floor
        return self.output is output and self.wanted is wanted and ours == (declared, limit, floor)


def _rank(entry: tuple[tuple[bool, float], int, Portrait]) -> tuple[tuple[bool, float], int]:
    return entry[:2]


def _cancelled(difference: Difference, event: Event, wanted: Array, dtype: str) -> dict[str, Any]:
    """What becomes of a record where the reference adds its inputs up to nothing at all.

    An error has no size relative to zero, so it is held against what was added up: inputs of more
    numbers than come out. One that their rounding explains decides nothing, as the reference got
    its zero by luck. A zero of anything else is meant.
    """
    if wanted.any() or difference.max_abs is None:
        return {}
    added = (float(np.max(np.abs(x))) for x in event.inputs if x.size > wanted.size)
    if not difference.max_abs <= UNIT_ROUNDOFF[dtype] * max(added, default=0.0):
        return {}
    reason = f"adds up to nothing in the reference: {difference.max_abs:.3g} is rounding"
    relative = ("rel_l2", "max_ulp", "snr_db", "si_sdr_db", "noise_ratio")
    return {"verdict": "not decided", "reason": reason, **dict.fromkeys(relative)}


def plain(difference: Any, wanted: Array | None = None) -> dict[str, Any]:
    """A difference as the fields of a record; an empty tensor of `wanted` ones decides nothing."""
    values = dict(vars(difference))
    passed = values.pop("passed")
    if passed and wanted is not None and not wanted.size:
        return {**values, "verdict": "not decided", "reason": "an empty tensor"}
    return {"verdict": "pass" if passed else "fail", **values}
