"""How many floating-point operations the reference takes, as PyTorch counts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def counted(run: Callable[[], Any]) -> tuple[Any, float]:
    """What `run` gives, and the operations of its products and convolutions.

    PyTorch's counter sees neither its fused attention, which is taken apart here, nor its LSTM,
    whose formula is below. Sums, norms and activations are no part of it, as is usual.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    lstm = {torch.ops.aten.mkldnn_rnn_layer: _lstm}
    counter = FlopCounterMode(display=False, custom_mapping=lstm)
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            result = run()
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    return result, float(counter.get_total_flops())


def _lstm(
    x: Sequence[int], inputs: Sequence[int], states: Sequence[int], *_: Any, **__: Any
) -> int:
    """One layer in one direction: x is (T, B, C), the weights are (4 H, C) and (4 H, H)."""
    steps = x[0] * x[1]
    return 2 * steps * (inputs[0] * inputs[1] + states[0] * states[1])
