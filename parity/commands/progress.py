"""Shows on stderr what a long comparison is at."""

from __future__ import annotations

import sys
import time

EVERY = 10.0  # seconds between lines of one stage in a file
PATIENCE = 1.0  # seconds that need no word


class Progress:
    """One line that changes, on a terminal; with `verbose`, elsewhere a line now and then."""

    def __init__(self, verbose: bool = False) -> None:
        self._terminal = sys.stderr.isatty()
        self._verbose = verbose
        self._start = time.monotonic()
        self._stage, self._last = "", -EVERY

    def __call__(self, text: str) -> None:
        """Show what is done now; see `parity.core.capture.progress`."""
        elapsed = time.monotonic() - self._start
        stage = text.rstrip("0123456789 of")
        if self._terminal and elapsed > PATIENCE:
            print(f"\r\x1b[K{text} ({elapsed:.0f} s)", end="", file=sys.stderr, flush=True)
        due = stage != self._stage or elapsed - self._last >= EVERY
        if self._verbose and not self._terminal and due:
            print(f"{text} ({elapsed:.0f} s)", file=sys.stderr, flush=True)
            self._stage, self._last = stage, elapsed

    def clear(self) -> None:
        """Take the line away, and begin anew."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        self._start, self._stage = time.monotonic(), ""
