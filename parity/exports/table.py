"""The table: a case by each column, judged stem by stem against the reference's golden output."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from demucs_tf.errors import ExportError
from parity.cases import Case
from parity.core.capture.port import cumulative
from parity.core.compare import Difference, compare
from parity.core.events import Expected
from parity.core.tolerances import tolerance
from parity.demucs import SUBJECT
from parity.exports import engines
from parity.exports.columns import COLUMNS, Column, bound, refusal
from parity.run import make_port, stored_expected

Verdict = Literal["pass", "fail", "refused"]


@dataclass(frozen=True)
class Cell:
    """A case by one column.

    Attributes:
        case: its name.
        column: its name.
        bound: on the relative L2 error of each stem.
        stems: what the comparator says of each.
        refused: why the model can't be exported so; "" if it was.
    """

    case: str
    column: str
    bound: float
    stems: tuple[Difference, ...] = ()
    refused: str = ""

    @property
    def verdict(self) -> Verdict:
        """What it comes to; what was not compared does not pass."""
        if self.refused:
            return "refused"
        return "pass" if self.stems and all(each.passed for each in self.stems) else "fail"

    @property
    def decibel(self) -> float:
        """The signal-to-noise ratio of the worst stem; NaN if one could not be compared."""
        found = [math.nan if each.snr_db is None else each.snr_db for each in self.stems]
        return min(found, key=lambda each: (not math.isnan(each), each), default=math.nan)

    @property
    def reason(self) -> str:
        """Why it does not pass."""
        return self.refused or next((each.reason for each in self.stems if not each.passed), "")

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"verdict": self.verdict, "decibel": self.decibel, **asdict(self)}


def cells(case: Case, columns: Sequence[Column] = COLUMNS) -> Iterator[Cell]:
    """A case by each column, on the input of its golden."""
    expected = stored_expected(case)
    limit = tolerance(SUBJECT, expected.root, 0, "cumulative", "float32")
    model = make_port(case, "float32")
    wanted = expected.root.outputs[0]
    for column in columns:
        allowed, refused = bound(column, limit), refusal(case, column)
        try:
            stems = None if refused else _stems(column, model, expected)
        except ExportError as error:
            stems, refused = None, str(error)
        if stems is None:
            yield Cell(case.name, column.name, allowed, refused=refused)
            continue
        if stems.shape != wanted.shape:
            compared: tuple[Difference, ...] = (compare(stems, wanted, allowed, dtype="float32"),)
        else:
            compared = tuple(
                compare(stems[:, index], wanted[:, index], allowed, dtype="float32")
                for index in range(wanted.shape[1])
            )
        yield Cell(case.name, column.name, allowed, compared)


def _stems(column: Column, model: Any, expected: Expected) -> Any:
    if column.engine:
        return cumulative(SUBJECT, model, expected, column.engine)["", 0][0]
    mix = expected.root.inputs[0].astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = engines.export(model, column, mix.shape[-1], Path(folder), None)
        return engines.run(path, mix)["stems"]
