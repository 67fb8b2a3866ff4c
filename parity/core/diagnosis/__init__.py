"""Says what a divergence is, how much of the final error each layer causes, and packs it up."""

from __future__ import annotations

from dataclasses import replace as changed
from pathlib import Path
from typing import Any

from parity.core.capture.breaking import PortBroken
from parity.core.diagnosis import replay as packs
from parity.core.diagnosis.attribution import attribute
from parity.core.events import Expected
from parity.core.result import Result
from parity.core.subject import Subject


def diagnosed(
    subject: Subject, expected: Expected, port: Any, result: Result, replay: Path | None = None
) -> Result:
    """A result with what each call of the port, which is built, adds to the final error.

    With `replay`, a folder, the first failing call, if there is one, is packed there.
    """
    if all(record.kind == "parameter" for record in result.layers):
        return result  # the port does not run: its arguments are others
    packed = ""
    if replay and any(record.kind != "parameter" for record in result.failures):
        pack = packs.pack(subject, expected, port, result)
        packed = str(packs.write(replay, pack, result.case, subject.imported_as))
    try:
        parts = attribute(subject, expected, port)
    except PortBroken:  # the result says where
        parts = ()
    return changed(result, attribution=parts, replay=packed)
