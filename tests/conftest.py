"""The environment that comparisons with torch's last places depend on."""

from __future__ import annotations

from parity.core.machine.mkl import same_on_every_processor

same_on_every_processor()
