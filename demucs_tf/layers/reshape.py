"""The target of a `tf.reshape`, as constant as it can be."""

from __future__ import annotations

from typing import Any

from demucs_tf.layers.shape import size


def lengths(x: Any) -> list[Any]:
    """The lengths of all axes, for `tf.reshape` alone: a single unknown one is -1.

    With an unknown batch, which is how models run, shapes then stay constants. Worked out from
    `tf.shape`, each takes four operations; without those, and with plainer sums in GroupNorm,
    HTDemucs' graph has 8,700 operations in place of 16,300, and takes 60 MB less.
    """
    if list(x.shape).count(None) == 1:
        return [-1 if length is None else length for length in x.shape]
    return [size(x, axis) for axis in range(len(x.shape))]
