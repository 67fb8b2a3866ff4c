"""Runs cases: from a row of the table to a `Result`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy.typing as npt

from parity.cases import Case, signals
from parity.core import golden
from parity.core.capture.port import Engine
from parity.core.checking import Modes, check_expected, check_outputs
from parity.core.compare import UNIT_ROUNDOFF, compare, relative_l2
from parity.core.events import Event, Expected
from parity.core.result import ParityError, Result
from parity.core.seeding import seed_module, seeded_state, state_hash
from parity.demucs import SUBJECT
from parity.demucs.own import both_sides
from parity.demucs.whole_track import apply_port
from parity.select import fits, only

Array = npt.NDArray[Any]

# Two runs of the reference agree this well in float64, whatever the number of threads and the
# instruction set; a golden further off is stale. Bits differ, because sums are ordered otherwise.
SAME_REFERENCE = 1e-13
SAME_FLOOR = 10.0


def run_case(
    case: Case,
    dtype: str,
    mode: Modes = "both",
    live: bool = False,
    folder: Path | None = None,
    engine: Engine = "eager",
) -> Result:
    """Compare the port with the golden of a case, or, with `live`, with the running reference."""
    port = make_port(case, dtype)
    expected = live_expected(case) if live else stored_expected(case, folder)
    if case.apply:
        outputs = apply_port(port, expected.mix, case.apply)
        return check_outputs(SUBJECT, expected, port, dtype, {"cumulative": outputs}, case.name)
    return check_expected(SUBJECT, expected, port, dtype, mode, case.name, engine)


def run_cases(
    cases: Sequence[Case], dtypes: Sequence[str], expression: str = "", **options: Any
) -> Iterator[Result]:
    """The results of cases; with a `-k` expression, only of records that fit it.

    A case whose name alone does not fit still runs for those of its layers that do.
    """
    for case in cases:
        if expression:
            live = options.get("live", False)
            expected = live_expected(case) if live else stored_expected(case, options.get("folder"))
            if not fits(case.name, expected, expression):
                continue
        for dtype in dtypes:
            yield only(run_case(case, dtype, **options), expression)


def run_own(
    checkpoint: Path,
    audio: Path,
    seconds: float,
    dtypes: Sequence[str],
    mode: Modes = "both",
    engine: Engine = "eager",
    expression: str = "",
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
    start = max(0, (wav.shape[-1] - length) // 2)
    expected = capture(SUBJECT, module, wav[None, :, start : start + length])
    expected.environment["weights"] = state_hash(expected.state)
    name = f"{checkpoint.name} on {audio.name}"
    if expression and not fits(name, expected, expression):
        return
    for dtype, port in ports.items():
        result = check_expected(SUBJECT, expected, port, dtype, mode, name, engine)
        yield only(result, expression)


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
    from demucs_tf.checkpoints.weights import read_state

    return seeded_state(((k, a.shape) for k, a in read_state(model).items()), case.seed)


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


@lru_cache(maxsize=1)
def live_expected(case: Case) -> Expected:
    """Run the reference on a row. The small ones on one thread, which is faster for them."""
    import torch

    from parity.core.capture.reference import capture
    from parity.demucs.whole_track import capture_applied

    module = make_reference(case)
    mix = signals.make(case.signal, case.shape, case.seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads if case.full else 1)
    try:
        if case.apply:
            expected = capture_applied(module, mix, case)
        else:
            expected = capture(SUBJECT, module, mix)
    finally:
        torch.set_num_threads(threads)
    expected.environment["seed"] = case.seed
    return expected


@lru_cache(maxsize=4)
def stored_expected(case: Case, folder: Path | None = None) -> Expected:
    """The golden of a row; one that is made on demand is made here if it is not there yet."""
    if case.stored == "live":
        raise ParityError(f"{case.name} has no golden: run it with --live.")
    if (
        case.stored == "cache"
        and not (golden.folder_of(case, folder) / f"{case.name}.json").exists()
    ):
        golden.write(case, live_expected(case), folder)
    return golden.read(case, folder)


def stale(case: Case, folder: Path | None = None) -> list[str]:
    """What of a golden no longer equals what the reference gives; empty if all does."""
    old, new = stored_expected(case, folder), live_expected(case)
    problems = [
        f"{case.name}: {name} differ"
        for name in ("reference", "leaves", "buffers", "idle", "unmapped")
        if getattr(old, name) != getattr(new, name)
    ]
    if relative_l2(old.mix, new.mix):
        problems.append(f"{case.name}: the input signal is another one")
    if [_signature(event) for event in old.events] != [_signature(event) for event in new.events]:
        return [*problems, f"{case.name}: the reference makes other calls than the golden has"]
    for before, now in zip(old.events, new.events, strict=True):
        pairs = zip([*before.inputs, *before.outputs], [*now.inputs, *now.outputs], strict=True)
        differences = [compare(kept, array, SAME_REFERENCE) for kept, array in pairs]
        reasons = [d.reason for d in differences if not d.passed]
        reasons += [
            f"the {name} floor was {kept:.3g}, is {floor:.3g}"
            for name in ("isolated", "cumulative")
            for kept, floor in zip(
                getattr(before, f"{name}_floors"), getattr(now, f"{name}_floors"), strict=True
            )
            if not _same_floor(kept, floor)
        ]
        place = f"{now.path or '(model)'} call {now.call}"
        problems += [f"{place}: {reason}" for reason in reasons]
    return problems


def _signature(event: Event) -> tuple[Any, ...]:
    sizes = (len(event.inputs), len(event.outputs))
    return (*event.key, event.kind, event.owner, event.source, *sizes)


def _same_floor(kept: float, floor: float) -> bool:
    """Rounding differs between machines, but not in its order of magnitude."""
    least = UNIT_ROUNDOFF["float32"]
    return max(kept, floor, least) <= SAME_FLOOR * max(min(kept, floor), least)
