"""A test that is left out says why, or the run is red."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.reasons import ADVICE, Reasons

CODE = """import pytest

def test_passed(): pass
@pytest.mark.xfail(strict=True)
def test_skipped_as_it_fails(): assert 0
@pytest.mark.skip(reason="no such disk")
def test_skipped_by_mark(): pass
def test_skipped_in_code(): pytest.skip("no such disk")
@pytest.mark.skipif(True, reason="no such disk")
def test_skipped_on_condition(): pass
@pytest.mark.skip
def test_failed_by_mark(): pass
def test_failed_in_code(): pytest.skip()
def test_failed_by_blank(): pytest.skip(" ")
@pytest.mark.skipif(True, reason="")
def test_failed_on_condition(): pass
"""


class Outcomes:
    """Notes what became of each test, and what is said of it."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[str, str]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = report.nodeid.rpartition("::")[2]
        if name not in self.found or report.outcome != "passed":
            self.found[name] = report.outcome, str(report.longrepr)


def run(folder: Path, code: str) -> tuple[int, dict[str, tuple[str, str]]]:
    path = folder / f"test_{abs(hash(code))}.py"  # a name that no other run has imported
    path.write_text(code)
    (folder / "pytest.ini").write_text("[pytest]\n")
    outcomes = Outcomes()
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--import-mode=importlib"]
    options += ["-p", "no:unraisableexception"]  # it collects all garbage of this process, often
    options += ["--rootdir", str(folder), "-c", str(folder / "pytest.ini"), str(path)]
    return int(pytest.main(options, [Reasons(), outcomes])), outcomes.found


def test_a_skip_has_its_reason(tmp_path: Path) -> None:
    status, found = run(tmp_path, CODE)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert len(found) == 9
    for name, (outcome, told) in found.items():
        assert name.startswith(f"test_{outcome}")
        assert (told == ADVICE) == name.startswith("test_failed")


def test_so_has_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reason = "'no such disk', allow_module_level=True"
    status, _ = run(tmp_path, f"import pytest\npytest.skip({reason})\n")
    assert status == pytest.ExitCode.NO_TESTS_COLLECTED, "of one file, nothing is left"
    status, _ = run(tmp_path, "import pytest\npytest.skip(allow_module_level=True)\n")
    assert status == pytest.ExitCode.INTERRUPTED
    assert ADVICE in capsys.readouterr().out
