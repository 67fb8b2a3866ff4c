"""Holds the port's gradients against the reference's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from parity.core.backward import port
from parity.core.backward.gradients import (
    CONSTANT,
    UNCONNECTED,
    Array,
    Backward,
    Gradient,
    Name,
    Pulled,
    longest,
    noise,
)
from parity.core.capture.port import Engine, build
from parity.core.checking import Modes, environment, plain, refuse_dtype
from parity.core.compare import UNIT_ROUNDOFF, compare
from parity.core.events import Event, Key, owner_of
from parity.core.result import Count, Coverage, Mode, Record, Result
from parity.core.subject import Subject
from parity.core.tolerances import SCALE_FLOAT64, gradient_tolerance

# A gradient that is zero but for rounding may be this many times as long as the reference's: sums
# in another order.
LUCK = 64.0
SUFFIX = " backward"  # of the case's name: its records are others than those of the forward pass


def check(
    subject: Subject,
    reference_module: Any,
    port_model: Any,
    mix: Any,
    dtype: str = "float32",
    mode: Modes = "both",
) -> Result:
    """Compare a port's gradients with those of a live module; for arguments see `parity.check`.

    Raises:
        NoGradient: the reference cannot be pulled back.
    """
    from parity.core.backward import reference
    from parity.core.capture.reference import capture

    expected = capture(subject, reference_module, mix)
    backward = reference.capture(subject, reference_module, expected)
    return check_backward(subject, backward, port_model, dtype, mode)


def check_backward(
    subject: Subject,
    backward: Backward,
    port_model: Any,
    dtype: str,
    mode: Modes = "both",
    case: str = "",
    engine: Engine = "eager",
) -> Result:
    """Compare a port's gradients with the captured ones of the reference.

    Isolated, every layer and every step has the reference's own input and cotangent; cumulative,
    the whole model is pulled back, by `engine`.

    Raises:
        ParityError: the port computes in another dtype, or the subject says nothing of variables.
    """
    refuse_dtype(port_model, dtype)
    expected = backward.forward
    build(subject, port_model, expected)
    events = {event.key: event for event in expected.events}
    owners = {event.path: event for event in expected.events if event.kind == "module"}
    found: dict[Mode, Mapping[Key, Mapping[Name, Array | None]]] = {}
    records: list[Record] = []
    if mode in ("both", "isolated"):
        found["isolated"] = port.isolated(subject, port_model, backward)
    if mode in ("both", "cumulative"):
        whole = port.whole(subject, port_model, backward, engine)
        found["cumulative"] = {backward.whole.key: whole}
    for name, pulled in _in_order(backward, found):
        event = events[pulled.key]
        ours = found[name].get(pulled.key)
        if ours is not None:
            records += _records(pulled, event, owners, ours, name, dtype)
    return Result(
        case=(case or expected.reference) + SUFFIX,
        dtype=dtype,
        reference=expected.reference,
        layers=tuple(records),
        coverage=_coverage(backward, found),
        environment={**expected.environment, **environment(), "engine": engine},
    )


def _in_order(backward: Backward, found: Mapping[Mode, object]) -> Iterator[tuple[Mode, Pulled]]:
    """Calls as they ended, so that the innermost of layers in each other is first; the model."""
    if "isolated" in found:
        yield from (("isolated", pulled) for pulled in backward.calls)
    if "cumulative" in found:
        yield "cumulative", backward.whole


def _records(
    pulled: Pulled,
    event: Event,
    owners: Mapping[str, Event],
    found: Mapping[Name, Array | None],
    mode: Mode,
    dtype: str,
) -> Iterator[Record]:
    scale = longest(pulled)
    gradients = [*pulled.named()]
    if mode == "cumulative":  # back from the output, so that the first failure is nearest to it
        gradients.reverse()
    for name, gradient in gradients:
        if name not in found:
            continue  # the coverage says so
        owner: Event | None = event
        if isinstance(name, str) and mode == "cumulative":
            owner = owners.get(owner_of(name)) or owners.get(owner_of(owner_of(name)))
        yield Record(
            path=name if isinstance(name, str) else event.path,
            call=event.call,
            output=name if isinstance(name, int) else 0,
            kind="gradient",
            mode=mode,
            dtype=dtype,
            source="" if owner is None else owner.source,
            module_class="" if owner is None else owner.owner,
            **_judge(found[name], gradient, scale, mode, dtype),
        )


def _judge(
    found: Array | None, gradient: Gradient, scale: float, mode: Mode, dtype: str
) -> dict[str, Any]:
    """The fields of a record that say how far a gradient is off."""
    wide = gradient.wide
    if gradient.reason:
        return _nothing_expected(found, gradient, scale, dtype)
    assert wide is not None
    if found is None:
        return _blank("fail", "expected a gradient, found none: nothing comes back here", wide)
    tolerance = gradient_tolerance(gradient.floor, mode, dtype)
    floor = gradient.floor * (SCALE_FLOAT64 if dtype == "float64" else 1.0)
    return {
        "shape": wide.shape,
        "tolerance": tolerance,
        **plain(compare(found, wide, tolerance, floor, dtype)),
    }


def _nothing_expected(
    found: Array | None, gradient: Gradient, scale: float, dtype: str
) -> dict[str, Any]:
    """Not decided, but for a gradient where the reference has none or nothing but rounding."""
    length = 0.0 if found is None else float(np.linalg.norm(found))
    if gradient.reason == CONSTANT:
        return _blank("not decided", gradient.reason, found)
    if gradient.reason == UNCONNECTED:
        most = 0.0
    else:
        most = LUCK * max(noise(gradient, dtype), UNIT_ROUNDOFF[dtype] * scale)
    if length <= most:  # a NaN is not
        return _blank("not decided", gradient.reason, found)
    expected = "none" if gradient.wide is None else f"no longer than {most:.3g}"
    return _blank("fail", f"expected {expected} ({gradient.reason}), found {length:.3g}", found)


def _blank(verdict: str, reason: str, array: Array | None) -> dict[str, Any]:
    metrics = (
        "max_abs", "max_abs_index", "rel_l2", "max_ulp", "snr_db", "si_sdr_db", "noise_ratio",
    )  # fmt: skip
    shape = () if array is None else array.shape
    fields = {"verdict": verdict, "reason": reason, "shape": shape, "tolerance": 0.0}
    return {**fields, **dict.fromkeys(metrics)}


def _coverage(
    backward: Backward, found: Mapping[Mode, Mapping[Key, Mapping[Name, Array | None]]]
) -> Coverage:
    """Every weight is compared in every mode in which the reference has a gradient of it."""
    kinds = {event.key: event.kind for event in backward.forward.events}
    calls = backward.calls if "isolated" in found else []
    leaves = backward.forward.leaves if "isolated" in found else ()
    done = {pulled.key for pulled in calls if _compared(pulled, found["isolated"])}
    modules = [pulled.key for pulled in calls if kinds[pulled.key] == "module"]
    taps = [pulled.key for pulled in calls if kinds[pulled.key] == "tap"]
    called = {path for path, _ in done}
    weights = backward.whole.weights
    heard = _heard(backward, found)
    missing = [
        *(f"not pulled back: {p} call {c}" for p, c in (*modules, *taps) if (p, c) not in done),
        *(f"module never pulled back: {path}" for path in leaves if path not in called),
        *(f"weight whose gradient is not compared: {key}" for key in weights if key not in heard),
    ]
    return Coverage(
        modules=Count(sum(path in called for path in leaves), len(leaves)),
        call_sites=Count(sum(key in done for key in modules), len(modules)),
        taps=Count(sum(key in done for key in taps), len(taps)),
        parameters=Count(sum(key in heard for key in weights), len(weights)),
        buffers=Count(0, 0),
        missing=tuple(missing),
    )


def _compared(pulled: Pulled, found: Mapping[Key, Mapping[Name, object]]) -> bool:
    ours = found.get(pulled.key)
    return ours is not None and all(name in ours for name, _ in pulled.named())


def _heard(
    backward: Backward, found: Mapping[Mode, Mapping[Key, Mapping[Name, object]]]
) -> set[str]:
    """The weights that were compared in all modes; one that nothing uses has no call of its own."""
    weights = backward.whole.weights
    heard = set(weights)
    if "isolated" in found:
        heard &= {
            *(name for ours in found["isolated"].values() for name in ours if name in weights),
            *(key for key, gradient in weights.items() if gradient.reason == UNCONNECTED),
        }
    if "cumulative" in found:
        heard &= {name for name in found["cumulative"][backward.whole.key] if isinstance(name, str)}
    return heard
