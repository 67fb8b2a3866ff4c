"""Pieces of a track with their real surroundings, and the weights that join them again."""

from __future__ import annotations

from typing import Any

import numpy as np

from demucs_tf.inference.arrays import Array, Samples


class TensorChunk:
    """`length` samples of `tensor` from `offset` on, which can be widened to both sides.

    Args:
        tensor: (..., T), or another chunk: then the new one lies inside it.
        offset: first sample, counted from the start of `tensor`.
        length: samples; cut where `tensor` ends. None: all that is left.

    Reference: demucs/apply.py::TensorChunk, demucs/apply.py::tensor_chunk
    """

    def __init__(
        self, tensor: Samples | TensorChunk, offset: int = 0, length: int | None = None
    ) -> None:
        total = tensor.length if isinstance(tensor, TensorChunk) else tensor.shape[-1]
        if not 0 <= offset < total:
            raise ValueError(f"offset must lie in 0..{total - 1}, got {offset}.")
        self.length: int = total - offset if length is None else min(total - offset, length)
        if isinstance(tensor, TensorChunk):
            self.tensor: Samples = tensor.tensor
            self.offset: int = offset + tensor.offset
        else:
            self.tensor = tensor
            self.offset = offset

    def padded(self, target_length: int) -> Array:
        """The chunk in the middle of `target_length` samples: (..., target_length).

        What surrounds it is the audio around it in the whole tensor; zeros only where the
        tensor ends. With an odd difference the larger half is on the right.

        Raises:
            ValueError: the chunk is longer than `target_length`.
        """
        delta = target_length - self.length
        if delta < 0:
            raise ValueError(f"the chunk has {self.length} samples, more than {target_length}.")
        start = self.offset - delta // 2
        end = start + target_length
        correct_start = max(0, start)
        correct_end = min(self.tensor.shape[-1], end)
        sides = [(0, 0)] * (len(self.tensor.shape) - 1)
        sides.append((correct_start - start, end - correct_end))
        return np.pad(self.tensor[..., correct_start:correct_end], sides)


def center_trim(tensor: Array, length: int) -> Array:
    """Keep the middle `length` samples; an odd one too many goes on the right.

    Reference: demucs/utils.py::center_trim
    """
    delta = tensor.shape[-1] - length
    if delta < 0:
        raise ValueError(f"expected at least {length} samples, got {tensor.shape[-1]}.")
    return tensor[..., delta // 2 : delta // 2 + length]


def transition_weight(
    length: int, power: float, dtype: np.dtype[Any], count: int | None = None
) -> Array:
    """The first `count` of a triangle over `length` samples with a peak of 1, to the power `power`.

    It neither starts nor ends at zero, so every sample of a track has some weight.

    Raises:
        ValueError: `power` is so large that the ends vanish in `dtype`.

    Reference: demucs/apply.py:271-276
    """
    place = np.arange(length if count is None else count)
    triangle = np.minimum(place + 1, length - place).astype(dtype)
    weight: Array = (triangle / dtype.type(length - length // 2)) ** dtype.type(power)
    if not weight[0] > 0:
        raise ValueError(
            f"transition_power {power:g} is too large: the first of {length} samples gets no "
            "weight. Choose a smaller one; 1 fades linearly."
        )
    return weight
