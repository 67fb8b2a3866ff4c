"""Makes a run red that leaves out a test without saying why."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

NONE = ("", "Skipped", "unconditional skip")  # what pytest says of a skip without a reason
ADVICE = "This test was left out without a reason: give skip() or the mark one."


class Reasons:
    """A plugin: tests and files that are skipped without a reason fail."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        """Look at a test that has ended."""
        return _judged((yield))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, Any, Any]:
        """Look at a file that was read."""
        return _judged((yield))


def _judged(report: Any) -> Any:
    if report.skipped and not hasattr(report, "wasxfail") and not _reason(report.longrepr):
        report.outcome, report.longrepr = "failed", ADVICE
    return report


def _reason(found: Any) -> str:
    """Of a report's (file, line, "Skipped: reason")."""
    text = str(found[2] if isinstance(found, tuple) else found)
    reason = text.removeprefix("Skipped:").strip()
    return "" if reason in NONE else reason
