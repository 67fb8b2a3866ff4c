"""Ctrl-C and SIGTERM: raised at once, after a block that holds them back, or again if lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from demucs_tf.utils import work_folder as module
from demucs_tf.utils.interrupts import check, held_back, raising_signals
from demucs_tf.utils.work_folder import work_folder

pytestmark = pytest.mark.usefixtures("sigint_heard")
SIGNALS = pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)


@SIGNALS
def test_a_block_comes_to_its_end(number: int, error: type[BaseException]) -> None:
    done = []

    def work() -> None:
        with held_back():
            with held_back():
                signal.raise_signal(number)
            done.append("inside")
        done.append("behind")

    with pytest.raises(error), raising_signals(last=False):
        work()
    assert done == ["inside"]


class Deaf:
    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


@SIGNALS
def test_what_gets_lost_is_raised_again(
    number: int, error: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        Deaf(number)  # Python ignores what is raised in there
        with pytest.raises(KeyboardInterrupt):
            check()

    with pytest.raises(error), raising_signals(last=False):
        work()
    assert capsys.readouterr().err == ""


@SIGNALS
@pytest.mark.parametrize("lost", [False, True])
def test_what_becomes_another_error_is_the_interrupt(
    number: int, error: type[BaseException], lost: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in TensorFlow, which also prints what it finds in its way."""

    def work() -> None:
        try:
            signal.raise_signal(number)
        except BaseException as found:
            sys.excepthook(SystemError, SystemError(), None)
            if not lost:
                raise ValueError("'SymbolicTensor' object has no attribute") from found

    with pytest.raises(error), raising_signals(last=False):
        work()
    assert capsys.readouterr().err == ""


MODULE = """
import signal, sys
from demucs_tf.utils.interrupts import raising_signals

def main():
    try:
        with raising_signals(last=True):
            exec("signal.raise_signal({number}); [each for each in range(9)]")
    except KeyboardInterrupt:
        return 130

sys.exit(main())
"""


@SIGNALS
def test_the_status_is_ours_wherever_the_signal_comes(
    number: int, error: type[BaseException], tmp_path: Path
) -> None:
    """As `python -m`, Python dies of SIGINT if ever a KeyboardInterrupt left a text in `exec`.

    That of a dataclass, say, which TensorFlow makes when it is imported.
    """
    (tmp_path / "stopped.py").write_text(MODULE.format(number=int(number)))
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command, environment = [sys.executable, "-m", "stopped"], {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (128 + number, "")


def test_a_second_signal_does_not_disturb_the_way_out() -> None:
    def leave() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(SystemExit) as exit_, raising_signals(last=False):
        leave()
    assert exit_.value.code == 143


def test_what_is_ignored_stays_ignored() -> None:
    """As in a job in the background, or under nohup."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with raising_signals(last=False):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with raising_signals(last=False):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("at", ["mkdtemp", "make_folder", "rmtree"])
def test_no_moment_leaves_a_work_folder(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes when a folder has just been made, or is about to be removed."""
    owner: Any = {"mkdtemp": tempfile, "make_folder": module, "rmtree": module.shutil}[at]
    call = getattr(owner, at)

    def interrupted(*arguments: Any, **named: Any) -> Any:
        if at == "rmtree":
            signal.raise_signal(signal.SIGTERM)
        result = call(*arguments, **named)
        signal.raise_signal(signal.SIGTERM)
        return result

    monkeypatch.setattr(owner, at, interrupted)
    with pytest.raises(SystemExit), raising_signals(last=False), work_folder(tmp_path / "new"):
        pass
    assert list(tmp_path.iterdir()) == []
