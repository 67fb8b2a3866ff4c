"""Known porting faults, and what becomes of them when they are injected."""

from parity.faults.demucs import FAULTS

__all__ = ["FAULTS"]
