"""Against the running reference: goldens are not stale, real music, full size, the public API."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import parity
from parity.cases import BY_NAME, CASES, IN_REPOSITORY, Case, signals
from parity.core.capture.port import layers_by_path
from parity.core.checking import Modes
from parity.demucs import SUBJECT
from parity.report import text
from parity.run import make_port, make_reference, run_case, stale
from parity.tests.conftest import DTYPES

pytestmark = pytest.mark.live

needs_music = pytest.mark.skipif(
    signals.music_file() is None, reason=f"no real music: {signals.AUDIO} names no folder with it"
)


@pytest.mark.parametrize("case", IN_REPOSITORY, ids=lambda case: case.name)
def test_no_golden_is_stale(case: Case) -> None:
    assert not stale(case)


def test_a_changed_golden_would_be_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    from parity import run

    expected = run.stored_expected(BY_NAME["demucs-dconv0"], None)
    output = expected.events[-1].outputs[0]
    altered = output * (1 + 1e-9)
    monkeypatch.setattr(expected.events[-1], "outputs", [altered])
    assert stale(BY_NAME["demucs-dconv0"]) == ["(model) call 0: relative L2 1e-09 exceeds 1e-13"]


@needs_music
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["demucs-music", "hdemucs-music", "htdemucs-music"])
def test_real_music(name: str, dtype: str) -> None:
    result = run_case(BY_NAME[name], dtype, live=True)
    assert result.verdict == "pass", text.details(result)


@needs_music
@pytest.mark.full
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [case.name for case in CASES if case.full])
def test_full_size(name: str, dtype: str) -> None:
    """The published widths and depths, on seconds of real music."""
    result = run_case(BY_NAME[name], dtype, live=True)
    print(text.summary(result))
    assert result.verdict == "pass", text.details(result)


@pytest.mark.parametrize("mode", ["isolated", "cumulative", "both"])
def test_check(mode: Modes) -> None:
    case = BY_NAME["demucs-lstm-attention-norm"]
    module = make_reference(case)
    mix = signals.make("noise", (2, 2, 31), seed=5)
    result = parity.check(module, make_port(case, "float32"), mix, mode=mode)
    assert result.verdict == "pass", text.details(result)
    assert {r.mode for r in result.layers if r.kind != "parameter"} == (
        {"isolated", "cumulative"} if mode == "both" else {mode}
    )
    paths = {path for path, module in module.named_modules() if _is_called(module)}
    assert {r.path for r in result.layers if r.kind in ("module", "output")} == paths


def _is_called(module: object) -> bool:
    return type(module).__name__ != "ModuleList"


@pytest.mark.parametrize("path", ["encoder.1.3.layers.0.0", "lstm.linear", "decoder.0.3"])
def test_check_names_the_layer_with_a_wrong_weight(path: str) -> None:
    """Not the parameter's own record, but what it does: the fault sits in the layer's output."""
    case = BY_NAME["demucs-lstm-layers1"] if path == "lstm.linear" else BY_NAME["demucs-default"]
    port = make_port(case, "float32")
    layer = layers_by_path(SUBJECT, port)[path]
    layer.bias.assign(layer.bias + 1e-3)
    result = parity.check(make_reference(case), port, signals.make("noise", (1, 2, 61), 1))
    assert result.verdict == "fail"
    failed = [r.path for r in result.failures if r.kind == "module" and r.mode == "isolated"]
    assert failed[0] == path
    assert f"{path}.bias" in [r.path for r in result.failures]


def test_check_refuses_another_dtype() -> None:
    case = BY_NAME["demucs-dconv0"]
    with pytest.raises(parity.ParityError, match="float64, but the port computes in float32"):
        parity.check(
            make_reference(case), make_port(case, "float32"), np.zeros((1, 2, 31)), dtype="float64"
        )


def test_a_step_without_a_tap_is_missing() -> None:
    """The table of taps cannot fall behind the reference."""
    subject = replace(SUBJECT, taps=tuple(tap for tap in SUBJECT.taps if tap.name != "std"))
    case = BY_NAME["demucs-dconv0"]
    mix = signals.make("noise", (1, 2, 31), 0)
    result = parity.check(make_reference(case), make_port(case, "float32"), mix, subject=subject)
    assert result.verdict == "fail"
    assert any("functional step without a tap" in text for text in result.coverage.missing)
    assert any("std = mono.std" in text for text in result.coverage.missing)


def test_which_files_are_the_references() -> None:
    """Not what lies in a folder of the same name: `parity/demucs` tells of it."""
    import demucs.hdemucs
    import torch

    from parity.demucs import attention

    assert SUBJECT.is_reference(demucs.hdemucs.__file__)
    assert SUBJECT.is_reference(torch.nn.modules.conv.__file__)
    assert not SUBJECT.is_reference(attention.__file__)
    assert not SUBJECT.is_reference(torch.nn.functional.__file__)


@needs_music
def test_own_checkpoint_and_music(tmp_path: Path) -> None:
    import torch
    from demucs.states import serialize_model
    from omegaconf import OmegaConf

    from parity.run import run_own

    module = make_reference(BY_NAME["demucs-default"])
    torch.save(serialize_model(module, OmegaConf.create({})), tmp_path / "own.th")
    audio = signals.music_file()
    assert audio is not None
    results = list(run_own(tmp_path / "own.th", audio, 0.05, ["float32", "float64"], "both"))
    assert [r.dtype for r in results] == ["float32", "float64"]
    for result in results:
        assert result.verdict == "pass", text.details(result)
