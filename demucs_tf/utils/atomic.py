"""Files that are finished at the end of a `with` block, or after an exception not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar

T = TypeVar("T", bound="Closing")


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    If the block raises (a full disk, Ctrl-C), the temporary file is removed and whatever was
    at `path` before stays as it was. The suffix is kept, because writers choose a format by it.

    Raises:
        OSError: the folder does not exist or is not writable, or the disk is full.
    """
    temporary = path.with_name(f".{path.stem[:32]}-{secrets.token_hex(8)}.part{path.suffix}")
    try:
        temporary.open("xb").close()  # with the mode that the process gives to new files
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # some libraries put a file there that its owner alone may read
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class Closing:
    """Base of what is closed at the end of a `with` block."""

    def close(self) -> None:
        """Finish, and let go of everything."""
        raise NotImplementedError

    def abort(self) -> None:
        """Let go after an exception; for what is only read that is the same."""
        self.close()

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()
