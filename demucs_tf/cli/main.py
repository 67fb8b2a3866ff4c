"""The command `demucs-tf`: picks the subcommand, and turns what happens into an exit status."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from demucs_tf import __version__
from demucs_tf.cli import convert, info, listing, separate
from demucs_tf.cli.errors import UsageError, report_error, report_warning
from demucs_tf.utils.quiet import mute_stdout
from demucs_tf.utils.text import printable

INTERRUPTED = 130
UNREAD = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0: all done. 1: something failed, with a line `error: ...` on stderr. 130: Ctrl-C.
    141: nobody reads what is printed.

    Raises:
        SystemExit: 0 after --help, 2 after wrong usage, 143 after SIGTERM.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    args = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be any bytes
        utf8 = sys.stdout.encoding.lower() == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    command: argparse.ArgumentParser = args.parser
    with _terminable(), warnings.catch_warnings():
        warnings.showwarning = report_warning
        try:
            status: int = args.run(args)
            if sys.stdout is not None:  # as it is in a service
                sys.stdout.flush()
            return status
        except UsageError as error:
            command.error(printable(str(error)))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
        except BrokenPipeError:
            mute_stdout()
            return UNREAD
        except Exception as error:
            report_error(error, command.prog, debug=args.debug)
            return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("demucs-tf", description="Demucs for TensorFlow and Keras.")
    parser.add_argument("--version", action="version", version=f"demucs-tf {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (separate, convert, listing, info):
        command.add_command(commands)
    return parser


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM an exception, so that files being written are removed on the way out."""

    def terminate(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
