"""The proof of the model in the package: its golden, made with its trained weights.

Goldens draw their weights from a seed. This one takes them from the file of the model, and has
their hash among what is said of where it was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from demucs_tf.checkpoints.sources import embedded
from parity.cases import Case, signals
from parity.core.capture.port import Engine
from parity.core.checking import Modes, check_expected
from parity.core.events import Expected
from parity.core.files.golden import Golden
from parity.core.result import ParityError, Result
from parity.core.seeding import seeded_state, state_hash
from parity.demucs import SUBJECT
from parity.demucs.own import both_sides

NAME = f"{embedded.NAME}, trained"
COMMAND = "python -m parity capture --embedded"
FOLDER = Path(__file__).resolve().parents[1] / "examples" / "demo_parity"  # of a checkout
LENGTH = 2048  # samples


def capture(folder: Path | None = None) -> Path:
    """Run the reference with the trained weights, and write the golden; its path. Needs torch."""
    expected = live_expected()
    drawn = seeded_state(((key, a.shape) for key, a in expected.state.items()), 0)
    expected.environment["trained"] = state_hash(expected.state)
    expected.environment["seed"] = 0
    return _golden(folder).write(replace(expected, state=drawn))


def live_expected() -> Expected:
    """What the running reference gives. Needs torch."""
    from parity.core.capture.reference import capture

    _, module = both_sides(embedded.path(), [])
    return capture(SUBJECT, module, signals.make("piece", (1, 2, LENGTH), 0))


def stored_expected(folder: Path | None = None) -> Expected:
    """The golden, with the weights of the package.

    Raises:
        ParityError: the golden is missing, damaged, or belongs to other weights.
    """
    from demucs_tf.checkpoints.assemble import read_model
    from demucs_tf.checkpoints.weights import read_state

    golden = _golden(folder)
    expected = golden.read()
    state = read_state(read_model(embedded.path(), "float32"))
    if expected.environment.get("trained") != state_hash(state):
        raise ParityError(f"{golden.path} belongs to other weights: {COMMAND}")
    return replace(expected, state=state)


def run(
    dtypes: Sequence[str],
    mode: Modes = "both",
    live: bool = False,
    folder: Path | None = None,
    engine: Engine = "eager",
    draw: bool = False,
) -> Iterator[Result]:
    """Compare the port with the golden, or with the running reference; `draw` as in `run_cases`."""
    from demucs_tf.checkpoints.assemble import read_model

    expected = live_expected() if live else stored_expected(folder)
    for dtype in dtypes:
        port: Any = read_model(embedded.path(), dtype)
        yield check_expected(SUBJECT, expected, port, dtype, mode, NAME, engine, draw)


def _golden(folder: Path | None) -> Golden:
    case = Case("demo", {}, LENGTH)
    return Golden(case, folder or FOLDER, COMMAND)
