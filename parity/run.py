"""Runs cases of Demucs, and a user's own checkpoint: from a row of the table to a `Result`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy.typing as npt
import platformdirs

from parity.cases import BY_NAME, Case, signals
from parity.core.capture.breaking import PortBroken
from parity.core.capture.port import Engine
from parity.core.checking import Attribute, Modes, check_expected
from parity.core.diagnosis import diagnosed
from parity.core.result import ParityError, Result
from parity.core.seeding import seed_module, seeded_state, state_hash
from parity.core.suite import Suite
from parity.demucs import SUBJECT, arguments, whole_track
from parity.demucs.own import both_sides
from parity.select import fits, only

Array = npt.NDArray[Any]
CONTROL = "demucs-dconv0"


def make_port(case: Case, dtype: str) -> Any:
    """The port of a row with its seeded weights."""
    from demucs_tf.checkpoints.weights import load_state
    from demucs_tf.layers.base import blank_weights
    from demucs_tf.models.ports import PORTS

    with blank_weights():
        model = PORTS[case.reference](**case.config, **case.port, dtype=dtype)
    load_state(model, weights(case, model))
    return model


def weights(case: Case, model: Any) -> dict[str, Array]:
    """The seeded weights of a row, under the reference's keys and in its layout."""
    from demucs_tf.checkpoints.weights import shapes_of

    return seeded_state(shapes_of(model).items(), case.seed)


def reference_class(name: str) -> Any:
    """A class of the reference by its full name, one of those that have a port."""
    from demucs_tf.models.ports import PORTS

    if name not in PORTS:
        raise ParityError(f"{name} has no port. There are: {', '.join(PORTS)}.")
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def make_reference(case: Case) -> Any:
    """The reference of a row with its seeded weights. Needs torch and demucs."""
    module = reference_class(case.reference)(**case.config).eval()
    seed_module(module, case.seed)
    return module


def golden_folder() -> Path:
    """`golden/` of the checkout that this package is imported from, else of the current folder."""
    beside = Path(__file__).resolve().parents[1] / "golden"
    return beside if beside.is_dir() else Path("golden")


def _goldens(case: Case) -> Path:
    if case.stored == "repository":
        return golden_folder()
    return platformdirs.user_cache_path("demucs_tf") / "golden"


SUITE = Suite(
    SUBJECT,
    reference=make_reference,
    port=make_port,
    inputs=lambda case: signals.make(case.signal, case.shape, case.seed),
    goldens=_goldens,
    command="python -m parity capture --case",
    whole=whole_track.of,
    arguments=arguments.of_case,
)
run_case = SUITE.run_case
live_expected = SUITE.live_expected
stored_expected = SUITE.stored_expected
stale = SUITE.stale


def control(cases: Sequence[Case] = (), live: bool = False, folder: Path | None = None) -> str:
    """The negative control of a run: on its first small case, or on one that is quick.

    A port that breaks down in a case of the run is left to that case, which fails: "".

    Raises:
        ParityError: a spoiled port passed.
    """
    small = [case for case in cases if not (case.full or case.apply)]
    case = small[0] if small else BY_NAME[CONTROL]
    expected = live_expected(case) if live else stored_expected(case, folder if small else None)
    try:
        return SUITE.control(case, "float32", expected)
    except PortBroken:
        if small:
            return ""
        raise


def run_cases(
    cases: Sequence[Case],
    dtypes: Sequence[str],
    expression: str = "",
    mode: Modes = "both",
    live: bool = False,
    folder: Path | None = None,
    engine: Engine = "eager",
    attribution: Attribute = "never",
    replay: Path | None = None,
    draw: bool = False,
) -> Iterator[Result]:
    """The results of cases; with a `-k` expression, only of records that fit it.

    A case whose name alone does not fit still runs for those of its layers that do. `attribution`
    says when the final error is shared out among layers: on failures, for the first of each root,
    which is then packed into the folder `replay` as well, if there is one. `draw` asks for a
    portrait of every tensor.
    """
    roots: set[str] = set()
    control(cases, live, folder)
    for case in cases:
        if expression:
            expected = live_expected(case) if live else stored_expected(case, folder)
            if not fits(case.name, expected, expression):
                continue
        for dtype in dtypes:
            result = run_case(
                case, dtype, mode=mode, live=live, folder=folder, engine=engine, draw=draw
            )
            if _is_diagnosed(result, attribution, roots):
                result = SUITE.diagnosed(case, result, live, folder, replay)
            yield only(result, expression)


def _is_diagnosed(result: Result, attribution: Attribute, roots: set[str]) -> bool:
    """Whether to look closer at a result. Notes the root of a failure among `roots`."""
    first = result.first_failure
    new = first is not None and first.step_or_class not in roots
    if first is not None:
        roots.add(first.step_or_class)
    return attribution == "always" or (attribution == "failure" and new)


def run_own(
    checkpoint: Path,
    audio: Path,
    seconds: float,
    dtypes: Sequence[str],
    mode: Modes = "both",
    engine: Engine = "eager",
    expression: str = "",
    attribution: Attribute = "never",
    replay: Path | None = None,
    draw: bool = False,
) -> Iterator[Result]:
    """Compare on a user's own checkpoint and music. Needs torch and demucs.

    Both sides are made from what demucs_tf's reader finds in the file: no loader that would run
    what a hostile file asks for is ever given one.

    Raises:
        ParityError: no file that the reference reads, one that it makes no model of, or `seconds`
            is no length.
        DemucsTFError: a file is missing or damaged.
    """
    from demucs_tf.audio.convert import convert_audio
    from demucs_tf.audio.reader import read_audio

    if not 0 < seconds < math.inf:
        raise ParityError(f"--seconds: expected a number above 0, found {seconds:g}.")
    if checkpoint.suffix not in (".th", ".safetensors"):
        raise ParityError(f"--checkpoint: expected a .th or .safetensors file, found {checkpoint}.")
    ports, module = both_sides(checkpoint, dtypes)
    samples, rate = read_audio(audio)

    from parity.core.capture.reference import capture

    wav = convert_audio(samples, rate, module.samplerate, module.audio_channels)
    length = int(seconds * module.samplerate)
    if not length:
        raise ParityError(
            f"--seconds: {seconds:g} s is less than one sample at {module.samplerate} Hz."
        )
    start = max(0, (wav.shape[-1] - length) // 2)
    expected = capture(SUBJECT, module, wav[None, :, start : start + length])
    expected.environment["weights"] = state_hash(expected.state)
    name = f"{checkpoint.name} on {audio.name}"
    if expression and not fits(name, expected, expression):
        return
    control(live=True)
    roots: set[str] = set()
    for dtype, port in ports.items():
        result = check_expected(SUBJECT, expected, port, dtype, mode, name, engine, draw)
        if _is_diagnosed(result, attribution, roots):
            result = diagnosed(SUBJECT, expected, port, result, replay)
        yield only(result, expression)
