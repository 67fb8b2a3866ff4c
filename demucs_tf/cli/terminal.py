"""What is said on the terminal: errors, warnings, and what the library logs, a line each."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from demucs_tf.errors import DemucsTFError
from demucs_tf.utils.text import printable

_LEVELS = {logging.WARNING: "warning: ", logging.ERROR: "error: "}
_NO_MEMORY = (
    "not enough memory ({reason}): choose a shorter --segment, fewer --jobs, a smaller "
    "--batch-size, or leave out --no-split"
)


def say(text: str) -> None:
    """Print a line on stderr, fit for a terminal."""
    print(printable(text), file=sys.stderr)


def print_paths(paths: Iterable[Path]) -> None:
    """Print paths on stdout: as they are, but on a terminal without control characters."""
    shown = map(printable, map(str, paths)) if sys.stdout and sys.stdout.isatty() else paths
    print(*shown, sep="\n", flush=True)


def report_error(error: Exception, about: str = "", *, debug: bool = False) -> None:
    """Print one line `error: ...` on stderr, and with `debug` the traceback above it.

    An error that nobody foresaw gets `about`, what it happened to, and its type in front.
    """
    if debug:
        for line in "".join(traceback.format_exception(error)).splitlines():
            say(line)
    say(f"error: {explained(error, about, debug=debug)}")


def explained(error: Exception, about: str, *, debug: bool = False) -> str:
    """The text of an error on one line."""
    message = _line(error)
    cause: BaseException = error  # which what reads a file may have blamed on the file
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, MemoryError) or type(cause).__name__ == "ResourceExhaustedError":
        reason = _line(cause).partition(" [Op:")[0] or "the system gives no more"
        return f"{about}: {_NO_MEMORY.format(reason=reason[:200])}."
    if isinstance(error, DemucsTFError):
        return message
    hint = "" if debug else " (--debug shows where)"
    return f"{about}: {type(error).__name__}: {message}{hint}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def report_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print one line `warning: ...` on stderr; takes the place of `warnings.showwarning`."""
    say(f"warning: {' '.join(str(message).split())}")


@contextmanager
def logs_on_stderr() -> Iterator[None]:
    """Print what is logged in the block: where a model comes from, and what went wrong before."""
    logger = logging.getLogger("demucs_tf")
    handler = _Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Lines(logging.Handler):
    """`warning: ...`, or the bare text of what is only said."""

    def emit(self, record: logging.LogRecord) -> None:
        say(_LEVELS.get(record.levelno, "") + " ".join(record.getMessage().split()))
