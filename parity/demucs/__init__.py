"""What the core has to be told of Demucs: `SUBJECT`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy.typing as npt

from parity.core.subject import Fused, Observer, Subject
from parity.demucs import arguments, taps_demucs, taps_hybrid, taps_transformer


def _layers(port: Any) -> dict[str, Any]:
    from demucs_tf.layers.base import named_layers

    return dict(named_layers(port))


def _observe(port: Any, observer: Observer) -> AbstractContextManager[None]:
    from demucs_tf.layers.base import observe

    return observe(observer)


def _read_state(port: Any) -> Mapping[str, npt.NDArray[Any]]:
    from demucs_tf.checkpoints.weights import read_state

    return read_state(port)


def _variables(port: Any) -> dict[str, tuple[Any, Any]]:
    from demucs_tf.checkpoints.weights import variables_with_rules

    return {
        key: (variable, transform.inverse)
        for key, variable, transform in variables_with_rules(port)
    }


def _stems(port: Any) -> tuple[int, list[str]]:
    return int(port.samplerate), list(port.sources)


def _fused() -> Fused:
    from parity.demucs import attention

    return attention


SUBJECT = Subject(
    reference=("demucs",),
    imported_as="parity.demucs:SUBJECT",
    stems=_stems,
    distributions=("demucs",),
    arguments=arguments.of_reference,
    port_arguments=arguments.of_port,
    layers=_layers,
    read_state=_read_state,
    variables=_variables,
    observe=_observe,
    taps=(*taps_demucs.TAPS, *taps_hybrid.TAPS, *taps_transformer.TAPS),
    no_steps={**taps_hybrid.NO_STEPS, **taps_transformer.NO_STEPS},
    # torch's attention uses the weights itself; without norm_first, nothing uses the third norm of
    # a cross-attention layer.
    never_called={
        ("MultiheadAttention", "out_proj"): True,
        ("CrossTransformerEncoderLayer", "norm3"): False,
    },
    fused=_fused,
    modules=(
        ("Demucs|HDemucs|HTDemucs|apply_model|Separator", "", (("BAT",), ("BSAT",))),
        ("LSTM", ".*", (("TBC>BTC",), ("TBC>BTC", "LBD", "LBD"))),
        (".*", r"crosstransformer\..+", (("BTC",), ("BTC",))),
        ("Linear", ".*", (("TBC>BTC",), ("TBC>BTC",))),
        (".*", ".*", (("MAP",), ("MAP",))),
    ),
    # A feature map of either branch.
    maps={3: "BCT>BTC", 4: "BCFT>BFTC"},
    # Expectation maximization divides by determinants next to zero, which costs up to three digits
    # more than its inputs have lost: docs/tolerances.md.
    ceilings={"wiener_maximization": {"float64": 1e-9, "float32": 1e-3}},
    # torch adds up a long float64 deviation one number after the other: 100 floors off an exact sum
    # over six seconds, 161 at full size.
    inexact={"std": 256.0, "std_t": 64.0},
    # QUIRK demucs/apply.py:259: the reference adds chunks up in float32 whatever the model's type,
    # so its output is no float64 to hold ours against.
    added_in_float32=frozenset({"apply_model", "Separator"}),
)
