"""Runs the cases of a subject backwards: from a row of its table to a `Result`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from parity.core.backward.checking import check_backward
from parity.core.backward.golden import BackwardGolden
from parity.core.backward.gradients import Backward, Gradient
from parity.core.capture.port import Engine
from parity.core.checking import Modes
from parity.core.compare import relative_l2
from parity.core.files.changes import SAME_REFERENCE, same_floor
from parity.core.files.golden import AnyCase
from parity.core.result import ParityError, Result
from parity.core.suite import Suite


@dataclass(frozen=True, eq=False)
class BackwardSuite:
    """The backward pass of the cases of `suite`.

    `stored` are the names of those with a golden of it; `command` makes that of the case whose name
    follows.
    """

    suite: Suite
    stored: tuple[str, ...]
    command: str

    def golden(self, case: AnyCase, folder: Path | None = None) -> BackwardGolden:
        """The golden of a case, beside that of its forward pass."""
        return BackwardGolden(self.suite.golden(case, folder), f"{self.command} {case.name}")

    def run_case(
        self,
        case: AnyCase,
        dtype: str,
        mode: Modes = "both",
        live: bool = False,
        folder: Path | None = None,
        engine: Engine = "eager",
    ) -> Result:
        """Compare the port's gradients with a golden, or, with `live`, with the reference's."""
        backward = self.live_expected(case) if live else self.stored_expected(case, folder)
        port = self.suite.port(case, dtype)
        return check_backward(self.suite.subject, backward, port, dtype, mode, case.name, engine)

    @cached_property
    def live_expected(self) -> Any:
        """(case) -> the gradients of the running reference; those of the last case are kept."""
        return lru_cache(maxsize=1)(self._live_expected)

    def _live_expected(self, case: AnyCase) -> Backward:
        import torch

        from parity.core.backward.reference import capture

        if self.suite.whole(case) is not None:
            raise ParityError(f"{case.name} is about what surrounds a model: it has no gradients.")
        expected, module = self.suite.live_expected(case), self.suite.reference(case)
        threads = torch.get_num_threads()
        torch.set_num_threads(threads if case.full else 1)
        try:
            return capture(self.suite.subject, module, expected)
        finally:
            torch.set_num_threads(threads)

    @cached_property
    def stored_expected(self) -> Any:
        """(case, folder=None) -> its golden; the last few are kept."""
        return lru_cache(maxsize=4)(self._stored_expected)

    def _stored_expected(self, case: AnyCase, folder: Path | None = None) -> Backward:
        if case.name not in self.stored:
            raise ParityError(f"{case.name} has no golden of its gradients: run it with --live.")
        return self.golden(case, folder).read(self.suite.stored_expected(case, folder))

    def write(self, case: AnyCase, folder: Path | None = None) -> Path:
        """Write the golden of a case, at the inputs that the forward pass's golden has."""
        from parity.core.backward.reference import capture

        expected, module = self.suite.stored_expected(case, folder), self.suite.reference(case)
        backward = capture(self.suite.subject, module, expected)
        return self.golden(case, folder).write(backward)

    def stale(self, case: AnyCase, folder: Path | None = None) -> list[str]:
        """What of a golden no longer equals the reference's gradients; empty if all does."""
        from parity.core.backward.reference import capture

        old = self.stored_expected(case, folder)
        new = capture(self.suite.subject, self.suite.reference(case), old.forward)
        problems = []
        for before, now in zip((*old.calls, old.whole), (*new.calls, new.whole), strict=True):
            pairs = dict(before.named()), dict(now.named())
            if pairs[0].keys() != pairs[1].keys():
                problems.append(f"{before.path} call {before.call}: gradients by other tensors")
                continue
            problems += [
                f"{before.path} call {before.call}, by {name}: the gradient is another one"
                for name, gradient in pairs[0].items()
                if not _same(gradient, pairs[1][name])
            ]
        return problems


def _same(old: Gradient, new: Gradient) -> bool:
    if old.reason != new.reason or (old.wide is None) != (new.wide is None):
        return False
    if old.wide is None or new.wide is None or old.reason:
        return True
    distance = relative_l2(new.wide, old.wide)
    # A sum that nearly cancels out is as exact as its floor says.
    most = max(SAME_REFERENCE, 16 * old.floor * 2.0**-29)
    return distance <= most and same_floor(old.floor, new.floor)
