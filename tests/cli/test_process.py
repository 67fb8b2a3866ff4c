"""`demucs-tf separate` as a process: how fast it starts, and what stops it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from demucs_tf.cli import main as command
from demucs_tf.cli import separate as cli_separate
from demucs_tf.cli.main import main
from demucs_tf.inference import separator
from demucs_tf.tracks import outputs
from demucs_tf.utils.interrupts import check
from tests.support.command import SOURCES, files, run

pytestmark = pytest.mark.usefixtures("sigint_heard")


def test_help_is_quick_and_needs_no_tensorflow() -> None:
    code = (
        "import sys; from demucs_tf.cli.main import main\n"
        "try: main(['separate', '--help'])\n"
        "finally: print({'tensorflow', 'keras', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    seconds = []
    for _ in range(3):
        start = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        seconds.append(time.monotonic() - start)
    assert done.returncode == 0
    assert done.stderr.strip() == "set()"
    assert "--two-stems" in done.stdout
    assert min(seconds) <= 0.5


def test_nothing_is_searched_for_garbage_as_the_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "_run", lambda argv: 0)
    try:
        assert command.main() == 0
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def start(checkpoint: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "demucs_tf", "separate", "song.wav", "-n", str(checkpoint)]
    pipe = subprocess.PIPE
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.Popen(
        [*command, *options], stdout=pipe, stderr=pipe, text=True, env=environment
    )


TELLS = """
import sys
from demucs_tf.cli.main import main
from demucs_tf.utils.interrupts import raising_signals

def enter(self):
    entered(self)
    print("now", flush=True)

entered, raising_signals.__enter__ = raising_signals.__enter__, enter
sys.exit(main())
"""
SIGNALS = pytest.mark.parametrize(
    ("number", "status", "last"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, None)],
)


def ends_without_leftovers(
    process: subprocess.Popen[str], number: signal.Signals, status: int, last: str | None
) -> None:
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    assert last is None or err.splitlines()[-1] == last
    assert files(".") == ["song.wav"]


@SIGNALS
@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1, 0.3, 1.0, 2.5])
def test_signals_at_any_time(
    folder: Path,
    checkpoint: Path,
    number: signal.Signals,
    status: int,
    last: str | None,
    after: float,
) -> None:
    """Seconds after `main` has put its handlers up: while it imports, loads, or separates."""
    command = [sys.executable, "-c", TELLS, "separate", "song.wav", "-n", str(checkpoint)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, "--shifts", "100000"], stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        time.sleep(after)
        ends_without_leftovers(process, number, status, last)


@SIGNALS
def test_signals_stop_without_leftovers(
    folder: Path, checkpoint: Path, number: signal.Signals, status: int, last: str | None
) -> None:
    with start(checkpoint, "--shifts", "100000") as process:
        assert process.stderr is not None
        while "Separating" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(1)
        ends_without_leftovers(process, number, status, last)


@SIGNALS
@pytest.mark.parametrize("error", [OSError, ValueError])
@pytest.mark.parametrize("at", ["_separator", "load_located", "_separate", "place"])
def test_what_a_library_makes_of_a_signal_is_no_error(
    folder: Path,
    checkpoint: Path,
    number: signal.Signals,
    status: int,
    last: str | None,
    error: type[Exception],
    at: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TensorFlow turns what is raised while it traces into errors of its own."""

    def interrupted(*_: Any, **__: Any) -> None:
        try:
            signal.raise_signal(number)
            check()
        except KeyboardInterrupt as found:
            raise error("'SymbolicTensor' object has no attribute '_type_spec'") from found

    owner = {"load_located": separator, "place": outputs}.get(at, cli_separate)
    monkeypatch.setattr(owner, at, interrupted)
    arguments = ["separate", "song.wav", "song.wav", "-n", str(checkpoint)]
    if status == 130:
        assert main(arguments) == status
    else:
        with pytest.raises(SystemExit, match=str(status)):
            main(arguments)
    err = capsys.readouterr().err
    assert "error" not in err
    assert last is None or err.splitlines()[-1] == last
    assert files(".") == ["song.wav"]


def test_interrupt_while_writing_leaves_nothing(
    folder: Path,
    checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from demucs_tf.audio.writer import StemWriter

    calls = []
    write = StemWriter.write

    def interrupted(self: StemWriter, block: Any) -> None:
        calls.append(block)
        if len(calls) == 7:
            raise KeyboardInterrupt
        write(self, block)

    monkeypatch.setattr(StemWriter, "write", interrupted)
    run("song.wav", "-n", checkpoint, status=130)
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert files(".") == ["song.wav"]


def test_as_a_program_it_prints_nothing_else(folder: Path, checkpoint: Path) -> None:
    with start(checkpoint) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.splitlines() == [f"separated/tiny/song/{name}.wav" for name in SOURCES]
    lines = [line for line in err.splitlines() if line.strip() and "%|" not in line]
    assert lines == ["Separating song.wav"], "no notes of TensorFlow's"
