"""Where this package keeps what it can do without."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "DEMUCS_TF_CACHE"


def cache_folder() -> Path:
    """Where downloads, their records and graphs are kept.

    $DEMUCS_TF_CACHE, or the user's cache folder.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("demucs_tf")
