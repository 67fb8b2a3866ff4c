"""Layers alone: each on the reference's own input, wherever in a pass they are fed with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity.cases import BY_NAME
from parity.core.capture import port
from parity.core.capture.recorders import LeafTeller
from parity.core.events import Expected, Key
from parity.demucs import SUBJECT
from parity.run import make_port, run_case, stored_expected

# With steps and bands, with an LSTM in frames, with attention.
NAMES = ["hdemucs-multi", "demucs-lstm-framed", "htdemucs-plain"]
Told = dict[Key, list[Any]]


def alone(model: Any, expected: Expected, whole: bool = True) -> Told:
    told: Told = {}
    port.isolated(SUBJECT, model, expected, told.__setitem__, model=whole)
    return told


@pytest.mark.parametrize("name", NAMES)
def test_a_leaf_gives_in_a_pass_what_it_gives_alone(name: str) -> None:
    expected, model = stored_expected(BY_NAME[name]), make_port(BY_NAME[name], "float32")
    told, layers = alone(model, expected), port.layers_by_path(SUBJECT, model)
    assert told.keys() == {event.key for event in expected.events}
    for event in expected.events:
        if event.kind == "module":
            wanted = port.call_layer(SUBJECT, layers[event.path], event, "float32")
            assert [a.tobytes() for a in told[event.key]] == [a.tobytes() for a in wanted]


def test_the_model_alone_is_its_real_pass() -> None:
    case = BY_NAME["htdemucs-plain"]
    result = run_case(case, "float32")
    isolated, cumulative = (record for record in result.layers if record.path == "")
    assert (isolated.mode, cumulative.mode) == ("isolated", "cumulative")
    assert isolated.rel_l2 == cumulative.rel_l2
    expected, model = stored_expected(case), make_port(case, "float32")
    told, whole = alone(model, expected, whole=False), alone(model, expected)
    assert whole.keys() - told.keys() == {("", 0)}
    (stems,), (real,) = whole["", 0], port.cumulative(SUBJECT, model, expected)["", 0]
    assert stems.tobytes() == real.tobytes()


def test_a_leaf_on_another_shape_goes_on_with_its_own() -> None:
    """It may be called in parts, or more often; it is called alone afterwards."""
    case = BY_NAME["demucs-dconv0"]
    expected, model = stored_expected(case), make_port(case, "float32")
    event = next(e for e in expected.events if e.path == "encoder.0.0")
    layer = port.layers_by_path(SUBJECT, model)[event.path]
    (given,) = port.tensors_of(SUBJECT, event, "float32")
    half = given[:, : given.shape[1] // 2]
    for heard, used, told in ((half, half, set()), (given * 2, given, {event.key})):
        found: Told = {}
        forced = {event.key: lambda: (given,)}
        teller = LeafTeller({event.path: layer}, forced, {event.path}, found.__setitem__)
        with port.observed(SUBJECT, model, teller):
            output = layer(heard)
        assert np.array_equal(output, layer(used))
        assert found.keys() == teller.told == told
