"""Which port belongs to which class of the reference."""

from __future__ import annotations

from typing import Any

from demucs_tf.models.demucs import DemucsTF
from demucs_tf.models.hdemucs import HDemucsTF
from demucs_tf.models.htdemucs import HTDemucsTF

PORTS: dict[str, Any] = {
    "demucs.demucs.Demucs": DemucsTF,
    "demucs.hdemucs.HDemucs": HDemucsTF,
    "demucs.htdemucs.HTDemucs": HTDemucsTF,
    "demucs.wdemucs.WDemucs": HDemucsTF,  # the old name of HDemucs
}
