"""The folder where files lie until they are whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from demucs_tf.utils.interrupts import held_back

PREFIX = ".demucs-tf-"
_LOCK = "lock"


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder inside `folder`; it is removed at the end, whatever happens.

    After a `kill -9` it stays, so each run first removes those that nobody works in any more: a
    process holds a lock on its own, and the system drops locks of dead processes. Where there are
    no locks (on some network drives), old ones stay.

    Folders that had to be made and are empty at the end are removed as well.

    Raises:
        OSError: `folder` can't be made or written to.
    """
    made: list[Path] = []
    own, lock = None, None
    try:
        with held_back():
            made = make_folder(folder)
            _remove_abandoned(folder)
            own, lock = _own_folder(folder)
        yield own
    finally:
        with held_back():
            _remove(own, lock)
            remove_empty(made)


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


def _own_folder(folder: Path) -> tuple[Path, FileLock | None]:
    """A new folder, and the lock on it; another one if somebody took it for an abandoned one."""
    while True:
        own = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
        try:
            lock = _locked(own)
        except NotImplementedError:
            return own, None
        if lock is not None:
            return own, lock


def _remove_abandoned(folder: Path) -> None:
    for old in folder.glob(f"{PREFIX}*"):
        with suppress(NotImplementedError):
            if lock := _locked(old):
                _remove(old, lock)


def _locked(folder: Path) -> FileLock | None:
    """A lock on `folder`, or None if it is somebody else's or gone.

    Raises:
        NotImplementedError: the file system has no locks.
    """
    lock = FileLock(folder / _LOCK)
    with suppress(Timeout, OSError):
        lock.acquire(timeout=0)
        if Path(lock.lock_file).exists():
            return lock
        lock.release()
    return None


def _remove(folder: Path | None, lock: FileLock | None) -> None:
    if folder is not None:
        if lock is not None:
            lock.release()  # some systems do not remove what is open
        shutil.rmtree(folder, ignore_errors=True)
