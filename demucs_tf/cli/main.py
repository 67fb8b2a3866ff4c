"""The command `demucs-tf`: picks the subcommand, and turns what happens into an exit status.

What it needs is imported where it is needed, so that signals are dealt with almost at once.
"""

from __future__ import annotations

import sys

from demucs_tf.utils.interrupts import check, raising_signals

TYPE_CHECKING = False  # importing `typing` takes a while
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

INTERRUPTED = 130
UNREAD = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0: all done. 1: something failed, with a line `error: ...` on stderr. 130: Ctrl-C.
    141: nobody reads what is printed.

    Raises:
        SystemExit: 0 after --help, 2 after wrong usage, 143 after SIGTERM.
    """
    try:
        with raising_signals(last=argv is None):
            return _of_the_process() if argv is None else _run(argv)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except MemoryError:
        print("error: not enough memory", file=sys.stderr)
        return 1
    except BrokenPipeError:
        from demucs_tf.utils.quiet import mute_stdout

        mute_stdout()
        return UNREAD


def _of_the_process() -> int:
    """Run the command that this process is there for: nobody else has changed a model in it."""
    from demucs_tf.inference.graphs.kept import keep_graphs
    from demucs_tf.utils.memory import give_back_memory, leave_all

    give_back_memory()
    with keep_graphs():
        status = _run(sys.argv[1:])
    leave_all()
    return status


def _run(argv: Sequence[str]) -> int:
    import importlib
    import io
    import os
    import warnings

    from demucs_tf.cli import options, terminal
    from demucs_tf.errors import UsageError
    from demucs_tf.utils.quiet import silent_imports

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be any bytes
        utf8 = sys.stdout.encoding.lower() == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    parser, parsers = options.parsers()
    given = parser.parse_args(_with_command(argv, parser))
    parser, command = parsers[given.command], options.COMMANDS[given.command]
    with warnings.catch_warnings(), silent_imports(unless=given.debug):
        warnings.showwarning = terminal.report_warning
        try:
            run = importlib.import_module(command.module).run
            status: int = run(options.made(command.options, given))
            if sys.stdout is not None:  # as it is in a service
                sys.stdout.flush()
            return status
        except BrokenPipeError:
            raise
        except Exception as error:
            check()  # a library may have made this of an interrupt
            if isinstance(error, UsageError):
                parser.error(str(error))
            terminal.report_error(error, parser.prog, debug=given.debug)
            return 1


def _with_command(argv: Sequence[str], parser: argparse.ArgumentParser) -> Sequence[str]:
    """`separate` in front where no command is: `demucs` has none."""
    import difflib
    import os

    from demucs_tf.cli.options import COMMANDS

    if not argv or argv[0] in (*COMMANDS, "-h", "--help", "--version"):
        return argv
    word = argv[0]
    if word.isidentifier() and not os.path.exists(word):
        close = difflib.get_close_matches(word, COMMANDS, n=1)
        guess = f" Did you mean {close[0]}?" if close else ""
        known = ", ".join(COMMANDS)
        parser.error(f"invalid choice: {word!r} is no file, and no command of {known}.{guess}")
    return ["separate", *argv]
