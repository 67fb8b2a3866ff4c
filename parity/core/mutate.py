"""Plants known faults, one at a time: is each seen, and at the place where it sits?

The faults of a subject stand in one table, each above the wrong code:

    fault = Faults()

    @fault("glu-halves-swapped", "small", " GLU$", replaces=(activation.GLU, "call"))
    def glu_swapped(self, x):
        gate, value = tf.split(x, 2, axis=-1)
        return value * tf.sigmoid(gate)

    fault("pi-exact", "wiener", "^:phase Model$", replaces=(wiener, "_PI"))(math.pi)

`mutate(fault, run)` gives what becomes of each, where `run("small")` compares the case of that
name. In the harness's terms a fault is a mutation of the port, and one that is seen is killed.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from unittest import mock

from parity.core.result import Mode, ParityError, Result

Replacement = TypeVar("Replacement")


class Line(NamedTuple):
    """A line of a file, counted from 1."""

    file: str
    number: int


@dataclass(frozen=True)
class Fault:
    """One fault: `owner.attribute` becomes `replacement` while `case` runs, inside `within()`.

    `place` is the pattern that the first divergence, "path Class", has to fit; `in_pass` the one in
    the real pass, where that first hears it elsewhere. `beyond_float32`: what is wrong lies in
    digits that float32 has not, so only float64 can hear it. `written` is the line of its entry.
    """

    name: str
    case: str
    place: str
    owner: Any
    attribute: str
    replacement: Any
    written: Line
    within: Callable[[], AbstractContextManager[Any]] = nullcontext
    in_pass: str = ""
    beyond_float32: bool = False

    @property
    def replaced(self) -> Line:
        """Where the sound code is: the function or class, or a constant's assignment."""
        sound = inspect.unwrap(getattr(self.owner, self.attribute))
        if inspect.isroutine(sound) or inspect.isclass(sound):
            return Line(inspect.getfile(sound), inspect.getsourcelines(sound)[1])
        lines, start = inspect.getsourcelines(self.owner)  # start is 0 for a module
        assignment = re.compile(rf"\s*{self.attribute}\b[^=]*=")
        number = next((n for n, line in enumerate(lines) if assignment.match(line)), 0)
        return Line(inspect.getfile(self.owner), max(start, 1) + number)


class Faults(list[Fault]):
    """A table of faults. Call it with a fault, and the result with the wrong code: a decorator."""

    def __call__(
        self,
        name: str,
        case: str,
        place: str,
        *,
        replaces: tuple[Any, str],
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
        in_pass: str = "",
        beyond_float32: bool = False,
    ) -> Callable[[Replacement], Replacement]:
        """Enter what is decorated, which stays as it is, as the wrong code of a fault.

        Args:
            name: what is wrong; unique in the table.
            case: the case that has to see it.
            place: a pattern for the first divergence, "path Class".
            replaces: the attribute that the wrong code takes the place of, as (owner, name).
            within: a context that the case runs in, e.g. to drop compiled code before and after.
            in_pass: the pattern in the real pass, if another.
            beyond_float32: whether only float64 can hear it.
        """
        owner, attribute = replaces
        getattr(owner, attribute)  # AttributeError here, not only when the fault is planted
        caller = sys._getframe(1)
        written = Line(caller.f_code.co_filename, caller.f_lineno)

        def enter(replacement: Replacement) -> Replacement:
            self.append(
                Fault(
                    name, case, place, owner, attribute, replacement, written, within, in_pass,
                    beyond_float32,
                )
            )  # fmt: skip
            return replacement

        return enter


@dataclass(frozen=True)
class Outcome:
    """What became of one fault. `found` is the first divergence, "path Class"."""

    fault: str
    case: str
    killed: bool
    placed: bool
    found: str
    expected: str


def inject(fault: Fault, run: Callable[[str], Result], mode: Mode = "isolated") -> Outcome:
    """Run the fault's case with the fault in place; `mode` is that in which `run` compares."""
    place = (fault.in_pass if mode == "cumulative" else "") or fault.place
    with fault.within(), mock.patch.object(fault.owner, fault.attribute, fault.replacement):
        result = run(fault.case)
    first = result.first_divergence
    owner = next((r.module_class for r in result.layers if r.path == first), "")
    found = "" if first is None else f"{first} {owner}"
    placed = first is not None and re.search(place, found) is not None
    return Outcome(fault.name, fault.case, result.verdict == "fail", placed, found, place)


def mutate(
    faults: Iterable[Fault], run: Callable[[str], Result], mode: Mode = "isolated"
) -> Iterator[Outcome]:
    """Every fault's outcome, after its case has passed without it.

    Raises:
        ParityError: a case fails as it is, so that no fault could be seen in it.
    """
    clean: set[str] = set()
    for fault in faults:
        if fault.case not in clean:
            result = run(fault.case)
            if result.verdict != "pass":
                raise ParityError(
                    f"{fault.case} fails without any fault ({result.first_divergence}): "
                    "mend the port first."
                )
            clean.add(fault.case)
        yield inject(fault, run, mode)
