"""What results depend on besides the code."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = (
    "demucs-tf",
    "tensorflow",
    "keras",
    "numpy",
    "torch",
    "demucs",
    "ai-edge-litert",
    "onnxruntime",
    "openvino",
)


def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe(threads: int, arguments: Iterable[str]) -> dict[str, Any]:
    """For the record of a run."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "processors": processors(),
        "threads": threads,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "arguments": [str(each) for each in arguments],
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith(_SWITCHES)},
    }


_SWITCHES = ("TF_ENABLE_", "TF_XLA", "XLA_FLAGS", "ONEDNN_", "OMP_", "MKL_", "DEMUCS_TF_")


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
