"""Gradients against the running reference."""

from __future__ import annotations

import pytest

import parity
from parity.backward import BACKWARD, STORED, run_case
from parity.cases import BY_NAME, signals
from parity.core.backward.gradients import NoGradient
from parity.report import text
from parity.run import make_port, make_reference

pytestmark = pytest.mark.live


QUICK = ("demucs-dconv0", "hdemucs-masks-silence")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.full]) for name in STORED],
)
def test_no_golden_is_stale(name: str) -> None:
    assert not BACKWARD.stale(BY_NAME[name])


def test_check() -> None:
    case = BY_NAME["demucs-no-glu"]
    mix = signals.make("noise", (2, 2, 41), seed=5)
    port = make_port(case, "float64")
    result = parity.check(make_reference(case), port, mix, dtype="float64", backward=True)
    assert result.verdict == "pass", text.details(result)
    assert {record.kind for record in result.layers} == {"gradient"}


def test_a_spectrogram_alone_is_trained() -> None:
    """The first sample of the inverse transform's window is 0: no 0 / 0 comes back from it."""
    result = run_case(BY_NAME["hdemucs-spectrogram-shortest"], "float64", live=True)
    assert result.verdict == "pass", text.details(result)


def test_the_reference_has_no_gradient_of_the_wiener_filter() -> None:
    with pytest.raises(NoGradient, match=r"torch says .*modified by an inplace operation"):
        run_case(BY_NAME["hdemucs-wiener0"], "float64", live=True)
