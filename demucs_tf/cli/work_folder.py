"""The folder where files lie until they are whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PREFIX = ".demucs-tf-"


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder inside `folder`; it is removed at the end, whatever happens.

    After a `kill -9` it stays, so each run first removes those that nobody works in any more: a
    process holds a lock on its own, and the system drops locks of dead processes. Where there are
    no such locks (Windows), old ones stay.

    Folders that had to be made and are empty at the end are removed as well.

    Raises:
        OSError: `folder` can't be made or written to.
    """
    made = make_folder(folder)
    with ExitStack() as stack:
        stack.callback(remove_empty, made)
        with _locked(folder, wait=True):  # nobody sees a folder that is not locked yet
            _remove_abandoned(folder)
            own = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
            stack.enter_context(_locked(own))
        stack.callback(shutil.rmtree, own, ignore_errors=True)
        yield own


def make_folder(folder: Path) -> list[Path]:
    """Make `folder` and what is missing above it; return what was made, outermost first."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def remove_empty(folders: list[Path]) -> None:
    """Remove those of `folders`, outermost first, that have nothing in them."""
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()


def _remove_abandoned(folder: Path) -> None:
    for old in folder.glob(f"{PREFIX}*"):
        with _locked(old) as free:
            if free:
                shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock on `folder`; yield whether it was free and locks are there."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # gone in the meantime
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        free = True
    except OSError:  # somebody else's, or a file system without locks
        free = False
    try:
        yield free
    finally:
        os.close(handle)
