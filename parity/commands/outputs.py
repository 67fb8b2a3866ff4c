"""The files that commands write results to."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from parity.core.result import ParityError, Result
from parity.report.data import Table


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
