"""The reference's functional steps: what it computes without calling a module.

A tap is one or more statements of the reference. While the reference runs, every torch operation
is traced back to the innermost statement that belongs to a tap; one without a tap fails the
coverage check, so these tables cannot fall behind the reference. Consecutive operations of one
tap, not interrupted by a module call, are one call of it. Its inputs are the tensors from outside,
in the order of their first use; its output is the last result. The port runs the same step under
the same name through `Observable.step`.
"""

from __future__ import annotations

from parity.core.tap import Tap
from parity.demucs import taps_demucs, taps_hybrid, taps_transformer

TAPS: tuple[Tap, ...] = (*taps_demucs.TAPS, *taps_hybrid.TAPS, *taps_transformer.TAPS)

BY_STATEMENT: dict[tuple[str, str], Tap] = {
    (tap.owner, statement): tap for tap in TAPS for statement in tap.statements
}
BY_NAME: dict[tuple[str, str], Tap] = {(tap.owner, tap.name): tap for tap in TAPS}

# Statements whose own operations are no steps, each with the reason.
NO_STEPS: dict[str, str] = {
    **taps_hybrid.NO_STEPS,
    **taps_transformer.NO_STEPS,
}

# Modules that a pass of the reference may not call, as (class of the parent, name), and whether
# the parent uses their weights itself. torch's attention does; without norm_first, nothing uses the
# third norm of a cross-attention layer.
NEVER_CALLED: dict[tuple[str, str], bool] = {
    ("MultiheadAttention", "out_proj"): True,
    ("CrossTransformerEncoderLayer", "norm3"): False,
}

# Modules that only move or select data, so that their isolated comparison is bitwise.
MOVING_MODULES = frozenset({"Dropout", "Identity", "ReLU"})
