"""Observing changes nothing: with capture and without, the same bits, on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from parity.cases import BY_NAME
from parity.core.seeding import seeded_random
from parity.demucs import SUBJECT
from parity.run import make_reference, stored_expected
from parity.tests.jobs import Job, Pool, watched_and_not

NAMES = [
    "demucs-lstm-attention-norm",
    "demucs-relu",
    "demucs-lstm-framed",
    "hdemucs-wiener2-residual",
    "hdemucs-multi",
    "htdemucs-default",
]


def jobs(params: Mapping[str, Any], live: bool) -> list[Job]:
    """What the first test below waits for."""
    return [] if live else [(watched_and_not, params["name"], params["dtype"])]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_port(name: str, dtype: str, pool: Pool) -> None:
    before, watched, afterwards = pool.result(watched_and_not, name, dtype)
    assert len(before) > 0
    assert before == watched == afterwards


@pytest.mark.live
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_reference(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from parity.core.capture.reference import Tracer

    module = make_reference(BY_NAME[name]).to(getattr(torch, dtype))
    mix = stored_expected(BY_NAME[name]).mix.astype(dtype)

    def run() -> Any:
        with torch.no_grad(), seeded_random():
            return module(torch.from_numpy(mix.copy())).numpy().copy()

    # torch leaves its fused attention whenever operations are watched; the unwatched passes do too.
    monkeypatch.setattr(torch.backends.mha, "_is_fastpath_enabled", False)
    plain, events, again = run(), Tracer(SUBJECT, module).run(mix), run()
    assert events[-1].path == ""
    assert plain.tobytes() == events[-1].outputs[0].tobytes() == again.tobytes()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
