"""The last places of MKL's exponential: those of its code for every processor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.core.machine import mkl
from parity.core.machine.mkl import common_exponential
from parity.core.result import ParityError

pytestmark = pytest.mark.live  # torch is there
INTEL, AMD = "vendor_id\t: GenuineIntel\n", "vendor_id\t: AuthenticAMD\n"
SWITCH = "MKL_CBWR_OF_A_TEST"
LOOK = """
import torch
from parity.core.machine.mkl import common_exponential
x = -torch.arange(0.0, 20, 0.001)
{start}
    print(torch.exp(x).numpy().tobytes().hex())
"""


@pytest.fixture
def cpuinfo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What is known of the processor: it is Intel's, and nobody has told MKL anything."""
    path = tmp_path / "cpuinfo"
    path.write_text(INTEL)
    monkeypatch.setattr(mkl, "_CPUINFO", path)
    monkeypatch.setattr(mkl, "_SWITCH", SWITCH)  # the true one is set, and MKL may read it yet
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes that another process is asked for, whose exponential is twice what it is."""
    shapes: list[tuple[int, ...]] = []

    def other(x: Any) -> Any:
        shapes.append(x.shape)
        return 2 * np.exp(x)

    monkeypatch.setattr(mkl, "_other", lambda: other)
    return shapes


@pytest.fixture
def other() -> Iterator[mkl._Other]:
    """That process."""
    process = mkl._Other()
    yield process
    process.close()


def test_float32_is_of_the_other_process(cpuinfo: Path, asked: list[tuple[int, ...]]) -> None:
    import torch

    x = torch.linspace(-3, 3, 12).reshape(3, 4)
    before = torch.exp
    with common_exponential():
        found, turned, wide = torch.exp(x), torch.exp(x.T), torch.exp(x.double())
        traced = torch.exp(x.requires_grad_())
    assert torch.exp is before
    for each, wanted in ((found, x), (turned, x.T), (traced, x)):
        np.testing.assert_allclose(each.detach(), 2 * before(wanted).detach(), rtol=1e-6)
    np.testing.assert_array_equal(wide, before(x.detach().double()))
    assert asked == [(3, 4), (4, 3), (3, 4)]


@pytest.mark.parametrize(("processor", "switch"), [(AMD, None), (INTEL, "AVX2")])
def test_elsewhere_nothing_is_changed(
    cpuinfo: Path,
    asked: list[tuple[int, ...]],
    monkeypatch: pytest.MonkeyPatch,
    processor: str,
    switch: str | None,
) -> None:
    import torch

    cpuinfo.write_text(processor)
    if switch:
        monkeypatch.setenv(SWITCH, switch)
    before = torch.exp
    with common_exponential():
        assert torch.exp is before
    assert asked == []


def test_the_other_process_answers_until_it_ends(other: mkl._Other) -> None:
    x = np.linspace(-2, 2, 30, dtype=np.float32).reshape(5, 6)
    for each in (x, x.T, x[:0]):
        np.testing.assert_allclose(other(each), np.exp(each), rtol=1e-6)
    other._process.kill()
    other._process.wait()
    with pytest.raises(ParityError, match="set MKL_CBWR=COMPATIBLE"):
        other(x)


def test_bits_are_those_of_the_code_for_every_processor() -> None:
    """On Intel's processors MKL's own are others: one number in sixty."""

    def bits(start: str, **switches: str) -> str:
        kept = {key: value for key, value in os.environ.items() if key != "MKL_CBWR"}
        done = subprocess.run(
            [sys.executable, "-c", LOOK.format(start=start)],
            env={**kept, **switches},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    assert bits("with common_exponential():") == bits("if True:", MKL_CBWR="COMPATIBLE")


def test_a_reference_without_the_switch_gives_what_goldens_have(cpuinfo: Path) -> None:
    """The tracer sees past what stands between the reference and `torch.exp`."""
    from parity.cases import BY_NAME
    from parity.core.capture.reference import capture
    from parity.run import SUITE

    case = BY_NAME["htdemucs-default"]
    golden = SUITE.golden(case).read()
    live = capture(SUITE.subject, SUITE.reference(case), SUITE.inputs(case))
    assert (live.unmapped, live.idle) == (golden.unmapped, golden.idle)
    for found, wanted in zip(live.events, golden.events, strict=True):
        assert found.key == wanted.key
        for ours, theirs in zip(found.outputs, wanted.outputs, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)
