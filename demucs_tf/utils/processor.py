"""What the processor has, and what oneDNN (TensorFlow's products) may use of it."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
# Settings of ONEDNN_MAX_CPU_ISA.
BEFORE_AVX512 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")


def described() -> str | None:
    """The system's line on the instructions that the processor has; None: it says nothing."""
    return _described(_CPUINFO)


@cache
def _described(path: Path) -> str | None:
    lines = []
    with suppress(OSError):
        lines = path.read_text().splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), None)


def has(*names: str) -> bool:
    """Whether it has one of these instructions, by the system's names."""
    return not set(names).isdisjoint((described() or "").split())


def held_to() -> str:
    """The setting that holds oneDNN to older instructions; empty: nothing does."""
    found = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA")
    return (found or "").upper()


def has_avx512() -> bool:
    """Whether oneDNN uses AVX-512."""
    return has("avx512bw") and held_to() not in BEFORE_AVX512
