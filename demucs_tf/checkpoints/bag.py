"""What a bag is: which models are averaged with which weights, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demucs_tf.errors import CheckpointError

if TYPE_CHECKING:
    from demucs_tf.models.bag import BagOfModels

_MAX_NAME = 100


@dataclass(frozen=True)
class Bag:
    """What a bag's file says.

    Attributes:
        models: signatures of the members; one may be there more than once.
        weights: for each member its weight for each source; None: all 1.
        segment: seconds, which replaces that of the members; None: they keep theirs.

    Reference: demucs/repo.py::BagOnlyRepo
    """

    models: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...] | None = None
    segment: float | None = None


def is_plain_name(name: str) -> bool:
    """Whether this can name a file in a folder, and nothing outside of it."""
    return (
        1 <= len(name) <= _MAX_NAME
        and name.isprintable()
        and not name.startswith(".")
        and not set(name) & set("/\\:")
    )


def make_bag(bag: Bag, models: Sequence[Any], about: str) -> BagOfModels:
    """Put loaded models together, in the order of `bag.models`.

    Args:
        about: path or name of the bag, for errors.

    Raises:
        CheckpointError: the models or the weights do not fit each other.
    """
    from demucs_tf.models.bag import BagOfModels

    try:
        return BagOfModels(models, bag.weights, bag.segment)
    except ValueError as error:
        raise CheckpointError(f"{about}: the bag does not fit its models. {error}") from error
