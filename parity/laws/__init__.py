"""What must hold of a model by itself, without a reference: relations between its own outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from parity.core.result import ParityError
from parity.laws.channels import channels
from parity.laws.chunks import chunks, whole
from parity.laws.items import alone, gain, graph, order
from parity.laws.measure import Measure
from parity.laws.relation import Found, NotDecided, Relation

__all__ = ["LAWS", "Relation", "relations"]

LAWS: dict[str, Callable[[Measure, str], Found]] = {
    "order": order,
    "alone": alone,
    "gain": gain,
    "channels": channels,
    "whole": whole,
    "chunks": chunks,
    "graph": graph,
}


def relations(
    model: Any,
    wide: Any = None,
    only: Sequence[str] = (),
    seconds: float = 0.4,
    dtypes: Sequence[str] = ("float64", "float32"),
    seed: int = 0,
) -> tuple[Relation, ...]:
    """Hold a model to the relations that its architecture promises, in both precisions.

    Args:
        model: a model of demucs_tf, or any Keras model (B, A, T) -> (B, S, A, T) that has
            `audio_channels` and `samplerate`.
        wide: the same model in the other precision; None: one is made from the configuration.
        only: names of `LAWS`; empty: all.
        seconds: how long a piece is heard.
        dtypes: in which precisions.
        seed: of the piece.

    Raises:
        ParityError: an unknown name, or a model of which no second one can be made.
    """
    unknown = [name for name in only if name not in LAWS]
    if unknown:
        raise ParityError(f"no relation {unknown[0]!r}; there are {', '.join(LAWS)}.")
    measure = Measure.of(model, wide, seconds, seed)
    found = []
    for name in only or LAWS:
        for dtype in dtypes:
            try:
                found.append(measure.relation(name, dtype, *LAWS[name](measure, dtype)))
            except NotDecided as reason:
                found.append(Relation(name, dtype, "not decided", None, None, str(reason)))
    return tuple(found)
