"""What a file may ask for, beside what any model may: as much as it has weights for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

from demucs_tf.errors import CheckpointError

# A model may have this many times the numbers that the file has before it is given up: a mere
# mismatch is reported weight by weight, and only what would fill the memory is stopped.
_MAX_GROWTH = 4
_ALWAYS_FINE = 2**22
# The same for variables, which take a millisecond each whatever their size. The largest published
# model has 533.
_SPARE = 100
_MAX_VARIABLES = 5000
# Seconds: shorter pieces would take hours for a song. Published models have 7.8 to 44.
SHORTEST_SEGMENT = 0.01


@contextmanager
def within(total: int, arrays: int, growth: int = _MAX_GROWTH) -> Iterator[None]:
    """Let a model be made inside the block if it is about as large as the weights of its file.

    Args:
        total: how many numbers they are.
        arrays: how many arrays.
        growth: how many times as many numbers the model may need; few more are always fine.

    Raises:
        CheckpointError: it is far larger; nothing of that size was allocated.
    """
    from demucs_tf.layers.base import Budget, OverBudget, limited

    budget = Budget(min(arrays + _SPARE, _MAX_VARIABLES), growth * total + _ALWAYS_FINE)
    variables, numbers = budget.variables, budget.numbers
    try:
        with limited(budget):
            yield
    except OverBudget as error:
        raise CheckpointError(
            f"they describe a model of more than {variables} weights, and the file holds {arrays}."
            if budget.variables < 0
            else f"they describe a model of more than {numbers} numbers as weights, and the file "
            f"holds {total}."
        ) from error


def check_segment(seconds: float | Fraction) -> None:
    """Refuse a segment that would cut a song into a hundred thousand pieces."""
    if seconds < SHORTEST_SEGMENT:
        raise CheckpointError(
            f"a segment of {float(seconds):g} s is too short: wanted at least {SHORTEST_SEGMENT} s."
        )
