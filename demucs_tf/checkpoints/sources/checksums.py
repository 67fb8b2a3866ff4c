"""SHA-256 of files, and of files against their names."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from demucs_tf.errors import CheckpointError
from demucs_tf.utils.text import reason_of, shown

_BLOCK = 2**20


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check_name(path: Path, checksum: str) -> str:
    """Compare a file with the checksum in its name, the first hexadecimal digits of its SHA-256.

    Returns:
        its SHA-256.

    Raises:
        CheckpointError: they differ, or it is no checksum.

    Reference: demucs/repo.py::check_checksum
    """
    if not re.fullmatch("[0-9a-fA-F]{0,64}", checksum):
        raise CheckpointError(
            f"{path}: what follows the last '-' in its name should be the start of its SHA-256 in "
            f"hexadecimal, found '{shown(checksum)}'. Rename it to SIGNATURE{path.suffix}."
        )
    try:
        found = sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({reason_of(error)}).") from error
    if not found.startswith(checksum.lower()):
        raise CheckpointError(
            f"{path}: expected a file whose SHA-256 starts with {checksum}, found {found}. The "
            "file is damaged or not what its name says: get it again."
        )
    return found
