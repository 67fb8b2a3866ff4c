"""What commands write results to, and the line on stderr that says what they are at."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from parity.core.result import ParityError, Result
from parity.report.data import Table

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


def check_outputs(**paths: Path | None) -> None:
    """Say what can be known beforehand to keep results, by option, from being written."""
    for option, path in paths.items():
        if path and not path.parent.is_dir():
            raise ParityError(f"--{option} {path}: there is no folder {path.parent}.")
        if path and path.is_dir():
            raise ParityError(f"--{option} {path}: expected a file, found a folder.")
        if path and not os.access(path.parent, os.W_OK):
            raise _unwritable(path, errno.EACCES)
    if paths.get("html"):
        import jinja2  # noqa: F401
        import plotly  # noqa: F401


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Name the file, and say what to do, where it cannot be written.

    Raises:
        ParityError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error.errno) from error


def _unwritable(path: Path, number: int | None) -> ParityError:
    full = number in (errno.ENOSPC, errno.EDQUOT)
    advice = "make room, or name a file on another disk" if full else "name a file elsewhere"
    return ParityError(f"{path} cannot be written ({os.strerror(number or errno.EIO)}): {advice}.")


def write(
    results: Sequence[Result],
    json_path: Path | None,
    html_path: Path | None,
    tables: Sequence[Table] = (),
) -> None:
    """Write results as JSON and as a page, with `tables`, each if there is a path for it."""
    from parity.core import result

    if json_path:
        with written(json_path):
            result.write_json(json_path, results)
        print(f"results: {json_path}")
    if html_path:
        from parity.report.html import write_html

        with written(html_path):
            write_html(html_path, results, tables=tables)
        print(f"report: {html_path}")


def against_baseline(results: Sequence[Result], path: Path | None = None) -> list[Table]:
    """The page's table of results and a baseline, that of the goldens unless another is named."""
    from parity.core.guards.gate import read_baseline
    from parity.report import beside
    from parity.run import golden_folder

    usual = golden_folder() / "baseline.json"
    if path is None and not usual.is_file():
        return []
    return beside.baseline(results, read_baseline(path or usual))
