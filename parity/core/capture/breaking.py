"""A port that raises an error of its own: at which call, and in which line."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parity.core.events import Key
from parity.core.result import ParityError

MOST_TEXT = 300  # characters of an error that are told


class PortBroken(ParityError):
    """The port raised an error of its own; the text says at which call."""


@contextmanager
def breaking(at: Callable[[], Key]) -> Iterator[None]:
    """Make of an error of the port one that says at which call: `at` is asked for that."""
    try:
        yield
    except ParityError:
        raise
    except Exception as error:
        path, call = at()
        raise PortBroken(
            f"the port fails at {path or '(model)'} call {call}, in {_line(error)}: "
            f"{type(error).__name__}: {told(error)}"
        ) from error


def told(error: Exception) -> str:
    """The text of an error on one line, without a terminal's colours and Keras's frame."""
    text = re.sub(r"\x1b\[\d*m|^Exception encountered when calling .*\.", "", str(error))
    return " ".join(text.partition("Arguments received by ")[0].split())[:MOST_TEXT]


def _line(error: Exception) -> str:
    """The last line that is no library's, "wiener.py:145"."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}"
