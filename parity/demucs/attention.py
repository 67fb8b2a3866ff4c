"""Takes torch's fused attention apart into the steps that the port has.

`torch.nn.MultiheadAttention` hands its weights to one function, in which neither hooks nor the
function mode see anything. Here are its five steps on the same weights, by torch's own public
functions; what they give together is held against what the fused function gave.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F

from parity.core.compare import relative_l2
from parity.core.result import ParityError
from parity.core.subject import Step

FUSED = F.multi_head_attention_forward
# The fused function may add up in another order.
_SAME = {torch.float64: 1e-12, torch.float32: 1e-4}


def steps(
    args: tuple[Any, ...], kwargs: dict[str, Any], outputs: dict[str, torch.Tensor]
) -> Iterator[Step]:
    """Yield (name, inputs, function) of each step; `outputs` has those of the steps before.

    Tensors are (T, B, D), of the heads (B, H, T, D / H).
    """
    given = inspect.signature(FUSED).bind(*args, **kwargs).arguments
    width, heads = given["embed_dim_to_check"], given["num_heads"]

    def split(x: torch.Tensor) -> torch.Tensor:
        return x.reshape(*x.shape[:2], heads, width // heads).permute(1, 2, 0, 3)

    def projection(index: int) -> Callable[[torch.Tensor], torch.Tensor]:
        part = slice(index * width, (index + 1) * width)
        weight, bias = given["in_proj_weight"][part], given["in_proj_bias"][part]
        return lambda x: F.linear(x, weight, bias)

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(split(q), split(k), split(v))

    def merge(x: torch.Tensor) -> torch.Tensor:
        rows = x.permute(2, 0, 1, 3).reshape(x.shape[2], x.shape[0], width)
        return F.linear(rows, given["out_proj_weight"], given["out_proj_bias"])

    for index, (name, source) in enumerate((("q", "query"), ("k", "key"), ("v", "value"))):
        yield name, (given[source],), projection(index)
    yield "heads", (outputs["q"], outputs["k"], outputs["v"]), attend
    yield "out_proj", (outputs["heads"],), merge


def check(path: str, outputs: dict[str, torch.Tensor], result: Any) -> None:
    """Refuse to go on if the steps are not what torch computes.

    Raises:
        ParityError: they differ.
    """
    ours, fused = outputs["out_proj"], result[0]
    error = relative_l2(ours.detach().cpu().numpy(), fused.detach().cpu().numpy())
    if not error <= _SAME[fused.dtype]:
        raise ParityError(
            f"{path}: torch's attention differs by {error:.3g} from its five steps; this version "
            "of torch computes it in another way, see parity/demucs/attention.py."
        )
