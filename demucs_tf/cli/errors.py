"""What goes wrong on the command line, and how it is said."""

from __future__ import annotations

import sys
import traceback

from demucs_tf.errors import DemucsTFError
from demucs_tf.utils.text import printable


class UsageError(ValueError):
    """The command was given something that can't work; exit status 2."""


def report_error(error: Exception, about: str = "", *, debug: bool = False) -> None:
    """Print one line `error: ...` on stderr, and with `debug` the traceback above it.

    An error that nobody foresaw gets `about`, what it happened to, and its type in front.
    """
    if debug:
        traceback.print_exception(error)
    message = " ".join(str(error).split())
    if not isinstance(error, DemucsTFError):
        hint = "" if debug else " (--debug shows where)"
        message = f"{about}: {type(error).__name__}: {message}{hint}"
    print(f"error: {printable(message)}", file=sys.stderr)


def report_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print one line `warning: ...` on stderr; takes the place of `warnings.showwarning`."""
    print(f"warning: {printable(str(message))}", file=sys.stderr)
