"""Observing changes nothing: with capture and without, the same bits, on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity.cases import BY_NAME
from parity.core.capture.port import cumulative
from parity.core.seeding import seeded_random
from parity.demucs import SUBJECT
from parity.run import make_port, make_reference, stored_expected

NAMES = [
    "demucs-lstm-attention-norm",
    "demucs-relu",
    "demucs-lstm-framed",
    "hdemucs-wiener2-residual",
    "hdemucs-multi",
    "htdemucs-default",
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_port(name: str, dtype: str) -> None:
    model = make_port(BY_NAME[name], dtype)
    expected = stored_expected(BY_NAME[name])
    mix = expected.mix.astype(dtype)
    with seeded_random():
        plain = np.asarray(model(mix))
    observed = cumulative(SUBJECT, model, expected)
    with seeded_random():
        again = np.asarray(model(mix))
    assert plain.tobytes() == observed["", 0][0].tobytes() == again.tobytes()


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
