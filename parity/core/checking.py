"""Holds the port against what was captured from the reference."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from parity.core import tolerances
from parity.core.capture import port
from parity.core.capture.behind import Behind
from parity.core.capture.breaking import PortBroken, told
from parity.core.capture.recorders import Take
from parity.core.compare import compare
from parity.core.configuration import Argument, compared
from parity.core.diagnosis import diagnosed
from parity.core.diagnosis.fingerprint import fingerprint
from parity.core.events import Event, Expected, Key, owner_of
from parity.core.judge import Judge, plain
from parity.core.kept.sound import Sound, sound_of
from parity.core.result import Count, Coverage, Mode, ParityError, Record, Result
from parity.core.subject import Subject

Array = npt.NDArray[Any]
Modes = Literal["isolated", "cumulative", "both"]
Attribute = Literal["never", "failure", "always"]


def check(
    subject: Subject,
    reference_module: Any,
    port_model: Any,
    mix: Array,
    dtype: str = "float32",
    mode: Modes = "both",
    attribution: Attribute = "failure",
) -> Result:
    """Compare a port with a live module of the reference, tensor by tensor.

    Args:
        subject: what is known of both.
        reference_module: a module of the reference. It is copied, not changed.
        port_model: a port of it that computes in `dtype`.
        mix: what both hear, rounded to float32 beforehand.
        dtype: "float32" or "float64".
        mode: "isolated" feeds each layer with the reference's own input, "cumulative" is the real
            pass, "both" does both.
        attribution: when the final error is shared out among the layers, which takes up to 96
            passes of the port.

    Raises:
        ParityError: `port_model` has another dtype, or a step with other inputs than the
            reference's.
    """
    from parity.core.capture.reference import capture

    expected = capture(subject, reference_module, mix)
    result = check_expected(subject, expected, port_model, dtype, mode)
    if attribution == "always" or (attribution == "failure" and result.failures):
        return diagnosed(subject, expected, port_model, result)
    return result


def check_expected(
    subject: Subject,
    expected: Expected,
    port_model: Any,
    dtype: str,
    mode: Modes = "both",
    case: str = "",
    engine: port.Engine = "eager",
    draw: bool = False,
    to_first: bool = False,
) -> Result:
    """The same with a captured reference.

    `engine` is how the cumulative pass runs; `draw` asks for a portrait of every tensor;
    `to_first` ends the isolated mode once its first divergence is known.
    """
    refuse_dtype(port_model, dtype)
    configuration = _configuration(subject, expected, port_model)
    modes: list[Mode] = ["isolated", "cumulative"] if mode == "both" else [mode]
    judge = Judge(subject, expected, dtype, draw=draw)
    takers: dict[Mode, Take] = {name: judge.taking(name) for name in modes}
    running: Mode = modes[0]
    fails = ""
    try:
        port.build(subject, port_model, expected)
        # A model alone gets what it gets in the real pass: one that runs layer by layer is both.
        once = mode == "both" and engine == "eager" and expected.root.arguments is None
        with Behind(expected.events) as behind:
            if "isolated" in modes:
                take = behind.calling(takers["isolated"])
                enough = judge.failed_before if to_first else None
                port.isolated(subject, port_model, expected, take, model=not once, enough=enough)
            if "cumulative" in modes:
                running = "cumulative"
                take = behind.calling(
                    _to_both(takers, expected.root.key) if once else takers[running]
                )
                port.cumulative(subject, port_model, expected, engine, take=take)
    except PortBroken as error:
        fails = str(error)  # the rest is reported as not compared
    except Exception as error:
        if not any(argument.differs for argument in configuration):
            raise
        judge.forget(running)  # another architecture
        fails = f"the port fails: {told(error)}"
    result = _judged(judge, subject, expected, port_model, dtype, case, engine)
    if fails:
        missing = (fails, *result.coverage.missing)
        return replace(result, coverage=replace(result.coverage, missing=missing))
    return result


def _to_both(takers: Mapping[Mode, Take], shared: Key) -> Take:
    """What takes the calls of the real pass, and one of them for the isolated mode as well."""

    def take(key: Key, outputs: list[Array]) -> None:
        if key == shared:
            takers["isolated"](key, outputs)
        takers["cumulative"](key, outputs)

    return take


def _configuration(subject: Subject, expected: Expected, port_model: Any) -> tuple[Argument, ...]:
    ours = subject.port_arguments(port_model)
    if expected.arguments is None or ours is None:
        return ()
    return compared(expected.arguments, ours)


def refuse_dtype(port_model: Any, dtype: str) -> None:
    """ParityError if a port computes in another type."""
    if str(port_model.compute_dtype) != dtype:
        raise ParityError(
            f"dtype is {dtype}, but the port computes in {port_model.compute_dtype}: "
            f'make it with dtype="{dtype}".'
        )


def check_outputs(
    subject: Subject,
    expected: Expected,
    port_model: Any,
    dtype: str,
    found: Mapping[Mode, port.Outputs],
    case: str = "",
    engine: str = "eager",
    wider: Mapping[str, float] | None = None,
    draw: bool = False,
) -> Result:
    """The same with what the port gave, by mode.

    `engine` is what ran it; `wider` has factors of tolerances, by the names of taps; `draw` asks
    for a portrait of every tensor, not only of those that come closest to their tolerance.
    """
    judge = Judge(subject, expected, dtype, wider, draw)
    for name, outputs in found.items():
        take = judge.taking(name)
        for key, arrays in outputs.items():
            take(key, arrays)
    return _judged(judge, subject, expected, port_model, dtype, case, engine)


def _judged(
    judge: Judge,
    subject: Subject,
    expected: Expected,
    port_model: Any,
    dtype: str,
    case: str,
    engine: str,
) -> Result:
    """What a judge found, with the parameters and what surrounds it."""
    state = subject.read_state(port_model)
    result = Result(
        case=case or expected.reference,
        dtype=dtype,
        reference=expected.reference,
        layers=(*judge.layers(), *_parameters(expected, state, dtype)),
        coverage=_coverage(expected, judge, state),
        environment={**expected.environment, **environment(), "engine": engine},
        configuration=_configuration(subject, expected, port_model),
        sound=_sound(subject, expected, port_model, judge),
        portraits=judge.portraits,
    )
    first = result.first_failure
    if first is None:
        return result
    if first.kind == "parameter":
        seen = fingerprint(state[first.path], expected.state[first.path])
    else:
        event = next(e for e in expected.events if e.key == (first.path, first.call))
        actual = judge.kept[first.mode, event.key, first.output]
        seen = fingerprint(actual, event.outputs[first.output], event.inputs)
    return replace(result, fingerprint=seen.sentence)


def _sound(subject: Subject, expected: Expected, port_model: Any, judge: Judge) -> Sound | None:
    """The stems of the real pass, of a subject that has some."""
    stems = judge.kept.get(("cumulative", expected.root.key, 0))
    if subject.stems is None or stems is None:
        return None
    rate, names = subject.stems(port_model)
    return sound_of(rate, names, expected.root.outputs[0], stems)


def environment() -> dict[str, Any]:
    """Versions and settings of this side that results depend on."""
    import platform

    import keras
    import tensorflow as tf

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "tensorflow threads": tf.config.threading.get_intra_op_parallelism_threads() or "default",
        "oneDNN": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    }


def _origin(event: Event | None) -> dict[str, Any]:
    return {} if event is None else {"source": event.source, "module_class": event.owner}


def _parameters(expected: Expected, state: Mapping[str, Array], dtype: str) -> list[Record]:
    owners = {event.path: event for event in expected.events if event.kind == "module"}
    records = []
    for key, array in state.items():
        wanted = expected.state.get(key)
        if wanted is None:
            continue  # the coverage says so
        if np.issubdtype(wanted.dtype, np.floating):
            wanted = wanted.astype(dtype)
        difference = compare(array, wanted, tolerances.BITWISE)
        records.append(
            Record(
                path=key,
                call=0,
                output=0,
                kind="parameter",
                mode="isolated",
                dtype=dtype,
                shape=wanted.shape,
                tolerance=tolerances.BITWISE,
                **_origin(owners.get(owner_of(key))),
                **plain(difference),
            )
        )
    return records


def _coverage(expected: Expected, judge: Judge, state: Mapping[str, Array]) -> Coverage:
    compared = judge.compared
    calls = [event for event in expected.events if event.kind == "module"]
    taps = [event for event in expected.events if event.kind == "tap"]
    called = {event.path for event in calls if compared(event)}
    parameters = [key for key in expected.state if key not in expected.buffers]
    heard = [key for key in parameters if key in state and key not in expected.idle]
    missing = [
        *(f"not compared: {e.path} call {e.call}" for e in expected.events if not compared(e)),
        *(f"module never called: {path}" for path in expected.leaves if path not in called),
        *(f"functional step without a tap: {text}" for text in expected.unmapped),
        *(f"only in the port: {path} call {call}" for path, call in sorted(judge.surplus)),
        *(f"parameter not in the port: {key}" for key in expected.state if key not in state),
        *(f"parameter without influence: {key}" for key in expected.idle),
        *(f"parameter only in the port: {key}" for key in state if key not in expected.state),
    ]
    return Coverage(
        modules=Count(sum(path in called for path in expected.leaves), len(expected.leaves)),
        call_sites=Count(sum(map(compared, calls)), len(calls)),
        taps=Count(sum(map(compared, taps)), len(taps) + len(expected.unmapped)),
        parameters=Count(len(heard), len(parameters)),
        buffers=Count(sum(key in state for key in expected.buffers), len(expected.buffers)),
        missing=tuple(missing),
    )
