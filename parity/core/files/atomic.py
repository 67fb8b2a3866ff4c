"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file; after a failure, what was at `path` before is still there.

    Raises:
        OSError: the folder does not exist or is not writable, or the disk is full.
    """
    temporary = path.with_name(f".{path.stem[:32]}-{secrets.token_hex(8)}.part")
    try:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
