"""What the library logs, on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NAMES = {logging.WARNING: "warning: ", logging.ERROR: "error: "}


@contextmanager
def logs_on_stderr() -> Iterator[None]:
    """Print what is logged in the block: where a model comes from, and what went wrong before."""
    logger = logging.getLogger("demucs_tf")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _OneLine(logging.Formatter):
    """`warning: ...`, or the bare text of what is only said."""

    def format(self, record: logging.LogRecord) -> str:
        text = " ".join(record.getMessage().split())
        return _NAMES.get(record.levelno, "") + text
