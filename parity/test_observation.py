"""Observing changes nothing: with capture and without, the same bits, on both sides."""

from __future__ import annotations

import numpy as np
import pytest

from parity.cases import BY_NAME
from parity.port import cumulative
from parity.run import make_port, make_reference, stored_expected

NAMES = ["demucs-lstm-attention-norm", "demucs-relu", "demucs-lstm-framed"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_port(name: str, dtype: str) -> None:
    model = make_port(BY_NAME[name], dtype)
    mix = stored_expected(BY_NAME[name]).mix.astype(dtype)
    plain = np.asarray(model(mix))
    observed = cumulative(model, mix)
    again = np.asarray(model(mix))
    assert plain.tobytes() == observed["", 0][0].tobytes() == again.tobytes()


@pytest.mark.live
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_reference(name: str, dtype: str) -> None:
    import torch

    from parity.reference import Tracer

    module = make_reference(BY_NAME[name]).to(getattr(torch, dtype))
    mix = stored_expected(BY_NAME[name]).mix.astype(dtype)
    with torch.no_grad():
        plain = module(torch.from_numpy(mix.copy())).numpy().copy()
        events = Tracer(module).run(mix)
        again = module(torch.from_numpy(mix.copy())).numpy()
    assert events[-1].path == ""
    assert plain.tobytes() == events[-1].outputs[0].tobytes() == again.tobytes()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
