"""Ctrl-C, SIGTERM and SIGHUP as exceptions, which wait where they would leave something half done.

Imports next to nothing: it has to be there before anything else is.
"""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False  # `typing` takes a while
if TYPE_CHECKING:
    from typing import Any

# Ctrl-C, the system, and a terminal that is closed.
_NUMBERS = [signal.SIGINT, signal.SIGTERM, *filter(None, [getattr(signal, "SIGHUP", None)])]


class Interrupted(KeyboardInterrupt):
    """What a signal becomes, whichever it is.

    Not a KeyboardInterrupt itself: once one has left a text in `exec`, as dataclasses have, a
    program run by `python -m` dies of SIGINT at its end. Nor a SystemExit: where TensorFlow's code
    in C prints one that it met, the process ends on the spot.
    """


class _State:
    """What has arrived, whether it was raised, and how many blocks hold it back."""

    arrived: int | None = None
    raised = False
    held = 0


def _arrive(number: int, _: Any) -> None:
    if _State.arrived is None:  # later ones would only disturb the way out
        _State.arrived = number
        if not _State.held:
            check()


def check() -> None:
    """Raise `Interrupted` if anything has arrived: a library may have made something else of it."""
    if _State.arrived is not None:
        _State.raised = True
        raise Interrupted


class held_back:
    """Let a block come to its end; what arrived meanwhile is raised then."""

    def __enter__(self) -> None:
        _State.held += 1

    def __exit__(self, *_: object) -> None:
        _State.held -= 1
        if not _State.held and not _State.raised:
            check()


class raising_signals:
    """Turn the signals that arrive in a block into exceptions; see `check`.

    Args:
        last: the process ends with the block, where a signal is to end it without a word.

    Raises:
        Interrupted: Ctrl-C has arrived, whatever the block made of it.
        SystemExit: another; its code is 128 more than the number of the signal, as in a shell.
    """

    def __init__(self, *, last: bool) -> None:
        self.last = last

    def __enter__(self) -> None:
        _State.arrived, _State.raised, _State.held = None, False, 0
        self.hooks = sys.excepthook, sys.unraisablehook
        sys.excepthook, sys.unraisablehook = map(_unless_raised, self.hooks)
        self.before: dict[int, Any] = {}
        for number in _NUMBERS:
            if signal.getsignal(number) is signal.SIG_IGN:  # nohup, a job in the background
                continue
            try:
                self.before[number] = signal.signal(number, _arrive)
            except ValueError:  # not the main thread, where none arrive
                return

    def __exit__(self, *_: object) -> None:
        for number, before in self.before.items():
            signal.signal(number, signal.SIG_DFL if self.last else before)
        sys.excepthook, sys.unraisablehook = self.hooks
        if _State.arrived == signal.SIGINT:
            raise Interrupted
        if _State.arrived is not None:
            raise SystemExit(128 + _State.arrived)


def _unless_raised(hook: Any) -> Any:
    """A hook that says nothing of what an interrupt does to others' code: it is raised again."""
    return lambda *found: None if _State.raised else hook(*found)
