"""What is said of a divergence: its fingerprint, each layer's share of the error, a pack of it."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest

from parity.cases import BY_NAME
from parity.core.diagnosis import replay
from parity.core.diagnosis.fingerprint import fingerprint
from parity.core.mutate import Fault
from parity.core.result import ParityError, Part, Result
from parity.demucs import SUBJECT
from parity.faults import FAULTS
from parity.report import text
from parity.run import make_port, run_case, run_cases, stored_expected

Array = npt.NDArray[np.float64]
BY_FAULT = {fault.name: fault for fault in FAULTS}

_random = np.random.default_rng(5)
E = _random.normal(size=(2, 6, 40))
SQUARE = _random.normal(size=(3, 7, 7))
COMPLEX = _random.normal(size=(2, 5, 30, 2))
INPUT = _random.normal(size=E.shape)
_FACTOR = _random.uniform(0.5, 1.5, (6, 1))
_BIAS = _random.normal(size=(6, 1))


def _norm(epsilon: float) -> Array:
    """One group of quiet items, with weights by channel."""
    x = E * np.array([0.1, 0.02])[:, None, None]
    mean, variance = (f(x, axis=(1, 2), keepdims=True) for f in (np.mean, np.var))
    return np.asarray(_BIAS + _FACTOR * (x - mean) / np.sqrt(variance + epsilon))


def _changed(at: Any) -> Array:
    x = E.copy()
    x[at] += 1 + _random.normal(size=x[at].shape)
    return x


def _tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(x)))


SEEN = [
    ("sign", -E, E, "sign is the other"),
    ("gain", 0.9 * E, E, "gain of 0.9: all"),
    ("gain", 0 * E, E, "output is zero"),
    ("offset", E + 0.1, E, "constant of 0.1 is added"),
    ("gain and offset", 0.9 * E + 0.1, E, "gain of 0.9 and a constant of 0.1"),
    ("lag", np.roll(E, 3, -1), E, "3 positions too late on axis 2"),
    ("lag", np.roll(E, -1, -1), E, "1 position too early on axis 2"),
    ("reversed", E[..., ::-1], E, "Axis 2 is reversed"),
    ("permutation", E[:, [1, 0, 3, 2, 5, 4]], E, "Axis 1 is in the order 1, 0, 3, 2, 5, 4"),
    ("axes", SQUARE.transpose(0, 2, 1), SQUARE, r"order \(0, 2, 1\): all"),
    ("axes", E.transpose(0, 2, 1).reshape(E.shape), E, "reshaped"),
    ("axes", E.transpose(0, 2, 1), E, r"order \(0, 2, 1\)\."),
    ("conjugate", COMPLEX * [1, -1], COMPLEX, "imaginary part has the other sign"),
    ("conjugate", COMPLEX[..., ::-1], COMPLEX, "swapped"),
    ("edges", _changed((..., slice(-2, None))), E, "only the last 2 of 40 on axis 2"),
    ("edges", _changed((..., slice(3))), E, "only the first 3 of 40 on axis 2"),
    ("places", _changed((slice(None), 3)), E, "only position 3 of 6 on axis 1"),
    ("gain by slice", E * _FACTOR, E, "gain of each position on axis 1"),
    ("offset by slice", E + _BIAS, E, "constant is added to each position on axis 1"),
    ("epsilon", _norm(1e-3), _norm(1e-5), "another epsilon"),
    ("function", _tanh(COMPLEX), COMPLEX, "expected one alone"),
    ("input", INPUT, E + INPUT**2, "Input 0 comes out as it went in"),
    ("added input", E, E + INPUT, "Input 0 is missing in a sum"),
    ("added input", E + 0.5 * INPUT, E, "Input 0 is added 0.5 times"),
    ("not finite", np.where(E > 2, np.nan, E), E, "NaN"),
    ("shape", E[..., :-3], E, "3 too few on axis 2"),
    ("shape", E[0], E, "2 axes, expected 3"),
    ("none", E, E, "no difference"),
    ("none", E + 0.1 * INPUT[::-1, ::-1], E, "No simple relation"),
]


@pytest.mark.parametrize(("kind", "actual", "expected", "sentence"), SEEN)
def test_fingerprint(kind: str, actual: Array, expected: Array, sentence: str) -> None:
    seen = fingerprint(actual, expected, [INPUT, SQUARE])
    assert seen.kind == kind, seen
    assert seen.share > 0.98 or kind == "none"
    assert re.search(sentence, seen.sentence, re.IGNORECASE), seen.sentence


def test_rounding_is_no_relation() -> None:
    rounded = E.astype(np.float32)
    assert fingerprint(rounded, E).kind == "none"


@contextmanager
def _planted(faults: Sequence[Fault]) -> Iterator[None]:
    with ExitStack() as stack:
        for fault in faults:
            stack.enter_context(fault.within())
            patch = mock.patch.object(fault.owner, fault.attribute, fault.replacement)
            stack.enter_context(patch)
        yield


# Of each family and kind of place; `place` of each says where it sits.
SHARED_OUT = [
    "groupnorm-keras-epsilon", "glu-halves-swapped", "branch-residual-dropped",
    "attention-residual-dropped", "denormalize-left-out", "frequency-embedding-unweighted",
    "seam-with-both-biases", "encoder-glu-swapped", "lstm-gates-swapped", "tokens-frequency-major",
]  # fmt: skip


@pytest.fixture(scope="module", params=SHARED_OUT)
def fault(request: pytest.FixtureRequest) -> Fault:
    return BY_FAULT[request.param]


@pytest.fixture(scope="module")
def diagnosed(fault: Fault, tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder, case = tmp_path_factory.mktemp("packs"), BY_NAME[fault.case]
    with _planted([fault]):
        (result,) = run_cases([case], ["float64"], attribution="failure", replay=folder)
    return result


def _by_kind(parts: Sequence[Part]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for part in parts:
        shares[part.step_or_class] = shares.get(part.step_or_class, 0.0) + part.share
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def test_the_faulty_layer_has_the_largest_share(diagnosed: Result) -> None:
    shares = _by_kind(diagnosed.attribution)
    assert diagnosed.first_failure is not None
    assert next(iter(shares)) == diagnosed.first_failure.step_or_class
    assert sum([*shares.values()][:5]) >= 0.95
    assert "vanish if that is right" in text.details(diagnosed)


def test_a_pack_gives_the_verdict_again(fault: Fault, diagnosed: Result) -> None:
    pack = replay.read(Path(diagnosed.replay).with_suffix(".npz"))
    with _planted([fault]):
        found = pack.replay(SUBJECT)
    assert not found.passed
    assert found.rel_l2 == pytest.approx(pack.record.rel_l2, rel=1e-9)
    assert pack.replay(SUBJECT).passed


RUN = """
import runpy, sys
from unittest import mock
from parity.faults import FAULTS

fault = next(fault for fault in FAULTS if fault.name == sys.argv[1])
with mock.patch.object(fault.owner, fault.attribute, fault.replacement):
    runpy.run_path(sys.argv[2], run_name="__main__")
"""


def test_the_script_of_a_pack_runs_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = BY_FAULT["trim-off-by-one"]
    with _planted([fault]):
        (result,) = run_cases(
            [BY_NAME[fault.case]], ["float32"], attribution="failure", replay=tmp_path / "packs"
        )
    script = result.replay
    assert f"replay: python {script}" in text.details(result)
    assert Path(script).read_text(encoding="utf-8").count("\n") <= 22
    with pytest.raises(SystemExit, match="True"):  # the port is sound here
        runpy.run_path(script, run_name="__main__")
    assert capsys.readouterr().out.splitlines()[1] == "pass, was fail; "
    command = [sys.executable, "-c", RUN, fault.name, script]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[1].startswith("fail, was fail; ")


def test_a_damaged_pack_is_named(tmp_path: Path) -> None:
    fault = BY_FAULT["trim-off-by-one"]
    case = BY_NAME[fault.case]
    with _planted([fault]):
        result = run_case(case, "float32", mode="isolated")
    pack = replay.pack(SUBJECT, stored_expected(case), make_port(case, "float32"), result)
    path = replay.write(tmp_path, pack, case.name, SUBJECT.imported_as).with_suffix(".npz")
    content = path.read_bytes()
    for damaged in (b"", content[:-40], b"PK" + content[40:]):
        path.write_bytes(damaged)
        with pytest.raises(ParityError, match=r"is no replay pack \(.*--replay FOLDER"):
            replay.read(path)
    with pytest.raises(ParityError, match="is no replay pack"):
        replay.read(tmp_path / "none.npz")
    with pytest.raises(ParityError, match="no call failed that could be packed"):
        replay.pack(SUBJECT, stored_expected(case), None, replace(result, layers=()))


def test_five_faults_are_found_one_after_the_other() -> None:
    names = [
        "std-biased", "pad-on-the-right", "gelu-tanh", "glu-halves-swapped", "trim-off-by-one",
    ]  # fmt: skip
    for index, name in enumerate(names):
        left = [BY_FAULT[each] for each in names[index:]]
        with _planted(left):
            result = run_case(BY_NAME["demucs-dconv0"], "float64")
        first = result.first_failure
        assert first is not None
        assert re.search(BY_FAULT[name].place, f"{first.path} {first.module_class}"), first.path
    assert run_case(BY_NAME["demucs-dconv0"], "float64").verdict == "pass"


def test_a_sound_port_shares_out_its_rounding() -> None:
    (result,) = run_cases([BY_NAME["demucs-dconv0"]], ["float32"], attribution="always")
    assert result.verdict == "pass"
    assert sum(part.share for part in result.attribution) == pytest.approx(1, abs=0.2)
