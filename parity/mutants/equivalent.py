"""Machine-made mutants that are the port: nothing that is asked of it could tell them apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from parity.core.guards.mutants import Mutant


@dataclass(frozen=True)
class Equivalent:
    """Patterns of a place and of a change, with `*` for anything, and why it changes nothing.

    `where` is "module function: statement", the module below `demucs_tf`.
    """

    where: str
    change: str
    why: str

    def fits(self, mutant: Mutant) -> bool:
        """Whether a mutant is meant."""
        module = mutant.module.partition(".")[2]
        place = f"{module} {mutant.function}: {mutant.statement}"
        return _fits(self.where, place) and _fits(self.change, mutant.change)


def _fits(pattern: str, text: str) -> bool:
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text))


EQUIVALENT: tuple[Equivalent, ...] = ()
