"""Which port belongs to which class of the reference."""

from __future__ import annotations

from typing import Any

from demucs_tf.models.config import CONFIGS, Config
from demucs_tf.models.demucs import DemucsTF
from demucs_tf.models.hdemucs import HDemucsTF
from demucs_tf.models.htdemucs import HTDemucsTF

_PORTS = (DemucsTF, HDemucsTF, HTDemucsTF)
_BY_CONFIG: dict[type[Config], Any] = {port.config_class: port for port in _PORTS}

PORTS: dict[str, Any] = {name: _BY_CONFIG[config] for name, config in CONFIGS.items()}
