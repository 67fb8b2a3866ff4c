"""A library of tracks on Ray: one process a model, one row a track, and a manifest of what became
of each.

Importing this imports no Ray.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from demucs_tf.cluster.api import separate_tracks

__all__ = ["separate_tracks"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from demucs_tf.cluster import api

    return getattr(api, name)
