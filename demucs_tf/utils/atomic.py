"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    If the block raises (a full disk, Ctrl-C), the temporary file is removed and whatever was
    at `path` before stays as it was. The suffix is kept, because writers choose a format by it.

    Raises:
        OSError: the folder does not exist or is not writable, or the disk is full.
    """
    temporary = path.with_name(f".{path.stem[:32]}-{secrets.token_hex(8)}.part{path.suffix}")
    temporary.open("xb").close()  # with the mode that the process gives to new files
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
