"""The differential harness: proves the port equal to the PyTorch reference, layer by layer.

`check` compares a live module with its port; `python -m parity` and `pytest parity/` run the
cases of `parity.cases` against stored goldens or, with `--live`, against the reference.
"""

from __future__ import annotations

from typing import Any

from parity.core.result import ParityError, Record, Result

__all__ = ["ParityError", "Record", "Result", "check"]


def __getattr__(name: str) -> Any:
    if name == "check":
        from parity.core.checking import check

        return check
    raise AttributeError(f"module 'parity' has no attribute {name!r}")
