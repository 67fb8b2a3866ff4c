"""Known porting faults, each with the wrong code, the case that has to see it, and where.

Each has been made in some port of Demucs, or is one slip away from this one.
"""

from __future__ import annotations

from parity.backward import run_case as run_backward
from parity.cases import BY_NAME
from parity.core.backward.checking import SUFFIX
from parity.core.mutate import Fault
from parity.core.result import Mode, Result
from parity.faults import (
    attention,
    backward,
    demucs,
    hybrid,
    layers,
    recurrent,
    spectrogram,
    transformer,
    whole_track,
)
from parity.run import run_case

__all__ = ["FAULTS", "run"]

FAULTS: tuple[Fault, ...] = (
    *layers.fault,
    *recurrent.fault,
    *attention.fault,
    *demucs.fault,
    *spectrogram.fault,
    *hybrid.fault,
    *transformer.fault,
    *whole_track.fault,
    *backward.fault,
)


def run(case: str, dtype: str = "float64", mode: Mode = "isolated") -> Result:
    """Compare a case as faults are looked for; float64, isolated, hides none.

    With " backward" behind its name, its gradients.
    """
    name = case.removesuffix(SUFFIX)
    if name != case:
        return run_backward(BY_NAME[name], dtype, mode=mode)
    return run_case(BY_NAME[name], dtype, mode=mode, to_first=True)
