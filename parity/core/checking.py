"""Holds the port against what was captured from the reference."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from parity.core import layouts, tolerances
from parity.core.capture import port
from parity.core.capture.portrait import Portrait, portrait_of
from parity.core.capture.sound import Sound, sound_of
from parity.core.compare import compare
from parity.core.configuration import Argument, compared
from parity.core.diagnosis import diagnosed
from parity.core.diagnosis.fingerprint import fingerprint
from parity.core.events import Event, Expected, content, owner_of
from parity.core.result import Count, Coverage, Mode, ParityError, Record, Result, badness
from parity.core.subject import Subject

Array = npt.NDArray[Any]
Modes = Literal["isolated", "cumulative", "both"]
Attribute = Literal["never", "failure", "always"]
MOST_TEXT = 300  # characters of an error that are told
DRAWN = 8  # portraits of a case unless all are asked for
Errors = dict[bytes, float]  # relative L2 error of the real pass, by the tensor's content


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
) -> Result:
    """The same with a captured reference.

    `engine` is how the cumulative pass runs; `draw` asks for a portrait of every tensor.
    """
    refuse_dtype(port_model, dtype)
    configuration = _configuration(subject, expected, port_model)
    modes: list[Mode] = ["isolated", "cumulative"] if mode == "both" else [mode]
    found: dict[Mode, port.Outputs] = {}
    try:
        port.build(subject, port_model, expected)
        if "isolated" in modes:
            found["isolated"] = port.isolated(subject, port_model, expected)
        if "cumulative" in modes:
            found["cumulative"] = port.cumulative(subject, port_model, expected, engine)
    except Exception as error:
        if not any(argument.differs for argument in configuration):
            raise
        # Another architecture: the rest is reported as not compared.
        found = {name: found.get(name, {}) for name in modes}
        result = check_outputs(subject, expected, port_model, dtype, found, case, engine, draw=draw)
        told = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())[:MOST_TEXT]
        missing = (f"the port fails: {told}", *result.coverage.missing)
        return replace(result, coverage=replace(result.coverage, missing=missing))
    return check_outputs(subject, expected, port_model, dtype, found, case, engine, draw=draw)


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
    state = subject.read_state(port_model)
    parameters = _parameters(expected, state, dtype)
    errors: Errors = {}
    layers = [
        record
        for event in expected.events
        for name, outputs in found.items()
        for record in _records(subject, event, outputs, name, dtype, errors, wider or {})
    ]
    result = Result(
        case=case or expected.reference,
        dtype=dtype,
        reference=expected.reference,
        layers=(*layers, *parameters),
        coverage=_coverage(expected, list(found.values()), state),
        environment={**expected.environment, **environment(), "engine": engine},
        configuration=_configuration(subject, expected, port_model),
    )
    result = replace(
        result,
        sound=_sound(subject, expected, port_model, found),
        portraits=tuple(_portraits(subject, expected, found, layers, None if draw else DRAWN)),
    )
    first = result.first_failure
    if first is None:
        return result
    if first.kind == "parameter":
        seen = fingerprint(state[first.path], expected.state[first.path])
    else:
        event = next(e for e in expected.events if e.key == (first.path, first.call))
        _, declared = subject.layouts_of(event)
        actual = found[first.mode][event.key][first.output]
        seen = fingerprint(
            layouts.to_reference(actual, declared[first.output]),
            event.outputs[first.output],
            event.inputs,
        )
    return replace(result, fingerprint=seen.sentence)


def _sound(
    subject: Subject, expected: Expected, port_model: Any, found: Mapping[Mode, port.Outputs]
) -> Sound | None:
    """The stems of the real pass, of a subject that has some."""
    actual = found.get("cumulative", {}).get(expected.root.key)
    if subject.stems is None or not actual:
        return None
    rate, names = subject.stems(port_model)
    _, declared = subject.layouts_of(expected.root)
    stems = layouts.to_reference(actual[0], declared[0])
    return sound_of(rate, names, expected.root.outputs[0], stems)


def _portraits(
    subject: Subject,
    expected: Expected,
    found: Mapping[Mode, port.Outputs],
    layers: Sequence[Record],
    most: int | None,
) -> Iterator[Portrait]:
    """Portraits of the worst `most` tensors, or of all that may differ."""
    events = {event.key: event for event in expected.events}
    calls = [record for record in layers if record.kind != "parameter"]
    differing = [r for r in calls if r.verdict == "fail" or (r.share and r.rel_l2)]
    for record in sorted(differing, key=badness, reverse=True)[:most]:
        event = events[record.path, record.call]
        _, declared = subject.layouts_of(event)
        layout, actual = declared[record.output], found[record.mode][event.key][record.output]
        portrait = portrait_of(
            layouts.to_reference(actual, layout),
            event.outputs[record.output],
            layout,
            record.path,
            record.call,
            record.output,
            record.mode,
        )
        if portrait is not None:
            yield portrait


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


def _records(
    subject: Subject,
    event: Event,
    outputs: port.Outputs,
    mode: Mode,
    dtype: str,
    errors: Errors,
    wider: Mapping[str, float],
) -> list[Record]:
    actual = outputs.get(event.key)
    if actual is None or len(actual) != len(event.outputs):
        return []  # the coverage says so
    kind: Any = "output" if event.path == "" else event.kind
    _, declared = subject.layouts_of(event)
    factor = wider.get(event.path.rpartition(":")[2], 1.0) if event.kind == "tap" else 1.0
    records = []
    for index, (found, wanted) in enumerate(zip(actual, event.outputs, strict=True)):
        limit = factor * tolerances.tolerance(subject, event, index, mode, dtype)
        floor = tolerances.floor(subject, event, index, mode, dtype)
        difference = compare(
            layouts.to_reference(found, declared[index]),
            wanted,
            limit,
            floor,
            dtype if np.issubdtype(wanted.dtype, np.floating) else "",
        )
        gain = None
        if mode == "cumulative" and difference.rel_l2 is not None:
            gain = _gain(event, difference.rel_l2, errors)
            errors[content(wanted)] = difference.rel_l2
        records.append(
            Record(
                path=event.path,
                call=event.call,
                output=index,
                kind=kind,
                mode=mode,
                dtype=dtype,
                shape=wanted.shape,
                tolerance=limit,
                source=event.source,
                module_class=event.owner,
                gain=gain,
                **plain(difference, wanted),
            )
        )
    return records


def _gain(event: Event, error: float, errors: Errors) -> float | None:
    """Error of an output over the largest error among the call's inputs, in the real pass.

    An input is recognised by its content as the output of an earlier call.
    """
    known = [errors[key] for key in map(content, event.inputs) if errors.get(key)]
    return error / max(known) if known else None


def _origin(event: Event | None) -> dict[str, Any]:
    return {} if event is None else {"source": event.source, "module_class": event.owner}


def plain(difference: Any, wanted: Array | None = None) -> dict[str, Any]:
    """A difference as the fields of a record; an empty tensor of `wanted` ones decides nothing."""
    values = dict(vars(difference))
    passed = values.pop("passed")
    if passed and wanted is not None and not wanted.size:
        return {
            **values,
            "verdict": "not decided",
            "reason": "an empty tensor has nothing to compare",
        }
    return {"verdict": "pass" if passed else "fail", **values}


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


def _coverage(
    expected: Expected, found: Sequence[port.Outputs], state: Mapping[str, Array]
) -> Coverage:
    def compared(event: Event) -> bool:
        return all(len(outputs.get(event.key, ())) == len(event.outputs) for outputs in found)

    calls = [event for event in expected.events if event.kind == "module"]
    taps = [event for event in expected.events if event.kind == "tap"]
    called = {event.path for event in calls if compared(event)}
    parameters = [key for key in expected.state if key not in expected.buffers]
    heard = [key for key in parameters if key in state and key not in expected.idle]
    known = {event.key for event in expected.events}
    surplus = sorted({key for outputs in found for key in outputs} - known)
    missing = [
        *(f"not compared: {e.path} call {e.call}" for e in expected.events if not compared(e)),
        *(f"module never called: {path}" for path in expected.leaves if path not in called),
        *(f"functional step without a tap: {text}" for text in expected.unmapped),
        *(f"only in the port: {path} call {call}" for path, call in surplus),
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
