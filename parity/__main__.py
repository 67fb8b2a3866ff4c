"""`python -m parity`: capture, verify, diff, coverage, run, train-steps, exports, music, mutate,
calibrate, gate, relations, report, where.

Exit status: 0 all passed, 1 something diverged or regressed, 2 wrong usage or a file that cannot be
read or written, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from demucs_tf.errors import DemucsTFError
from demucs_tf.utils.memory import leave_all
from demucs_tf.utils.quiet import quiet
from parity.commands import (
    capture,
    exports,
    goldens,
    music,
    mutate,
    relations,
    report,
    run,
    steps,
    where,
)
from parity.commands.guards import calibrate, gate
from parity.commands.outputs import check_outputs
from parity.core.result import ParityError

COMMANDS = (
    capture, goldens, run, steps, exports, music, mutate, calibrate, gate, relations, report,
    where,
)  # fmt: skip
# Those that work with TensorFlow.
NUMBERS = tuple(each.run for each in (capture, run, steps, exports, music, mutate, relations))
# Which extra a module comes with.
EXTRAS = {
    **dict.fromkeys(("torch", "demucs", "julius", "omegaconf"), "reference"),
    **dict.fromkeys(("onnx", "tf2onnx"), "export"),
    "ai_edge_litert": "litert",
    "onnxruntime": "onnx",
    **dict.fromkeys(("jinja2", "markupsafe", "plotly"), "report"),
    **dict.fromkeys(("museval", "pandas", "scipy"), "music"),
}

# The options that name a file to write.
FILES = ("json", "html", "csv", "markdown")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    options = _parser().parse_args(arguments)
    try:
        check_outputs(**{name: getattr(options, name, None) for name in FILES})
        if options.run in NUMBERS:
            with quiet():
                import tensorflow  # noqa: F401  # here, because it prints when it is imported
            if arguments is None:
                leave_all()
        return int(options.run(options))
    except (ParityError, DemucsTFError) as error:
        return _report_error(str(error))
    except OSError as error:
        return _report_error(f"{error.filename or 'a file'}: {error.strerror or error}")
    except ImportError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _report_error(f'{error}: pip install "demucs-tf[{extra}]"')
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _report_error(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m parity", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    status = main()
    leave_all()
    sys.exit(status)
