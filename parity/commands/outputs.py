"""The files that commands write results to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parity.core.result import ParityError, Result


def check_outputs(json_path: Path | None, html_path: Path | None) -> None:
    """Say what can be known beforehand to keep results from being written."""
    for option, path in (("--json", json_path), ("--html", html_path)):
        if path and not path.parent.is_dir():
            raise ParityError(f"{option} {path}: there is no folder {path.parent}.")
        if path and path.is_dir():
            raise ParityError(f"{option} {path}: expected a file, found a folder.")
    if html_path:
        import jinja2  # noqa: F401
        import plotly  # noqa: F401


def write(results: Sequence[Result], json_path: Path | None, html_path: Path | None) -> None:
    """Write results as JSON and as a page, each if there is a path for it."""
    from parity.core import result

    if json_path:
        result.write_json(json_path, results)
        print(f"results: {json_path}")
    if html_path:
        from parity.report.html import write_html

        write_html(html_path, results)
        print(f"report: {html_path}")
