"""How many samples a model's file takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demucs_tf.errors import ExportError
from demucs_tf.export.metadata import ValidLength
from demucs_tf.models.bag import BagOfModels
from demucs_tf.models.ranges import LONGEST_SEGMENT, SHORTEST_SEGMENT
from demucs_tf.utils.text import brief


@dataclass(frozen=True)
class Lengths:
    """How many samples a model takes, in its file.

    Attributes:
        segment: of a chunk.
        length: of the fixed input, in whose middle the chunk stands.
        valid_length: see `Metadata`; the same for the next.
        training_length: that.
        any_length: whether the graph, where it can, takes any other length as well.
    """

    segment: int
    length: int
    valid_length: ValidLength | None = None
    training_length: int | None = None
    any_length: bool = False

    @property
    def before(self) -> int:
        """Samples of the input in front of the chunk."""
        return (self.length - self.segment) // 2


def lengths_of(model: Any, seconds: float | None) -> Lengths:
    """The lengths of a model's file; of a bag's, those that its longest member needs.

    Args:
        model: a model or a bag.
        seconds: of a chunk; None: the model's own segment.

    Raises:
        ExportError: out of range, longer than what an HTDemucs was trained on, or members of a bag
            whose segments differ.
    """
    if seconds is not None and not SHORTEST_SEGMENT <= seconds <= LONGEST_SEGMENT:
        raise ExportError(
            f"length must be from {SHORTEST_SEGMENT} to {LONGEST_SEGMENT} seconds, got "
            f"{brief(seconds)}."
        )
    if not isinstance(model, BagOfModels):
        return lengths_of_one(model, int((seconds or model.segment) * model.samplerate))
    found = [lengths_of(member, seconds) for member in model.models]
    segments = sorted({each.segment for each in found})
    if len(segments) > 1:
        raise ExportError(
            f"the bag's members have segments of {', '.join(map(str, segments))} samples, and one "
            "graph takes one: give a length in seconds, or export without fuse."
        )
    convolutions = {each.valid_length for each in found}
    valid_length = convolutions.pop() if len(convolutions) == 1 else None
    return Lengths(segments[0], max(each.length for each in found), valid_length)


def lengths_of_one(model: Any, segment: int) -> Lengths:
    """The lengths of a single model for chunks of `segment` samples; raises as `lengths_of`."""
    convolutions = None
    if hasattr(model, "draw_shift"):
        if model.use_train_segment and segment > model.training_length:
            most = model.training_length / model.samplerate
            raise ExportError(
                f"length must be at most the {most:g} seconds that the model was trained on, got "
                f"{segment / model.samplerate:g}."
            )
        fixed = model.use_train_segment
        return Lengths(segment, segment, training_length=segment if fixed else None)
    if hasattr(model, "valid_length"):
        convolutions = ValidLength(model.depth, model.kernel_size, model.stride, model.resample)
        return Lengths(segment, convolutions.at_least(segment), convolutions)
    return Lengths(segment, segment)


def only_length(model: Any) -> int | None:
    """Samples, the only ones that a model, or any member of a bag, works on; None: it takes any."""
    found = [m.training_length for m in _models(model) if getattr(m, "use_train_segment", False)]
    return max(found, default=None)


def why_one_length(model: Any, attends: bool) -> str | None:
    """Why no graph of a model, or of a bag, can do at any length what `apply_model` does.

    Args:
        model: a model or a bag.
        attends: whether the format can have an HTDemucs of any length.

    Returns:
        what the model does; None: a graph can.
    """
    samples = only_length(model)
    if samples is not None:
        return f"pads all that it gets to the {samples} samples that it was trained on"
    if len({lengths_of_one(each, 1).valid_length for each in _models(model)}) > 1:
        return "is a bag whose members pad what they get to different lengths"
    if not attends and any(hasattr(each, "draw_shift") for each in _models(model)):
        return "has a transformer, which takes float64 there"
    return None


def _models(model: Any) -> list[Any]:
    return list(model.models) if isinstance(model, BagOfModels) else [model]
