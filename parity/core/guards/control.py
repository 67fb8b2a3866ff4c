"""A negative control: a spoiled port has to fail, or no verdict of the run means anything."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from parity.core.capture import port as capture
from parity.core.capture.progress import heard_by
from parity.core.capture.recorders import Recorder
from parity.core.checking import check_outputs
from parity.core.diagnosis.attribution import units_of
from parity.core.events import Event, Expected, Key
from parity.core.result import ParityError
from parity.core.subject import Subject

SPOILED = 0.01  # of a tensor's numbers is added to them, far above any tolerance


class _Spoiler(Recorder):
    """A recorder that adds a little to what one call returns."""

    def __init__(self, layers: Mapping[str, Any], target: Key) -> None:
        super().__init__(layers)
        self._target = target

    def returned(self, key: Key, output: Any) -> Any:
        if key != self._target:
            return output
        if isinstance(output, (tuple, list)):
            return type(output)((_more(output[0]), *output[1:]))
        return _more(output)


def _more(tensor: Any) -> Any:
    return tensor * (1 + SPOILED)


def control(subject: Subject, expected: Expected, port: Any) -> str:
    """Spoil one call in the middle of the port's real pass, and see that it is found there.

    Args:
        subject: what is known of both sides.
        expected: what was captured of the reference.
        port: a port of it.

    Returns:
        the path of the call that was spoiled.

    Raises:
        ParityError: it was not found.
    """
    capture.build(subject, port, expected)
    target = _target(subject, expected)
    spoiler = partial(_Spoiler, target=target.key)
    with heard_by(lambda text: None):  # nobody waits for it
        outputs = capture.cumulative(subject, port, expected, make_recorder=spoiler)
    dtype = str(port.compute_dtype)
    result = check_outputs(subject, expected, port, dtype, {"cumulative": outputs}, "control")
    if target.path not in [record.path for record in result.failures]:
        raise ParityError(
            f"The negative control: what {target.path} gives was made {SPOILED:.0%} larger, and "
            "that passed. No verdict of this run counts: mend the harness first."
        )
    return target.path


def _target(subject: Subject, expected: Expected) -> Event:
    """The middle one of the calls that reckon with numbers."""
    units = [
        event
        for event in units_of(expected)
        if event.outputs[0].dtype.kind == "f" and event.outputs[0].any()
    ]
    return units[len(units) // 2]
