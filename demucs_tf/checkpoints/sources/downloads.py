"""A file that was downloaded, or was there all along, and how to be rid of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demucs_tf.checkpoints.sources import checksums
from demucs_tf.errors import CheckpointError

_log = logging.getLogger("demucs_tf")


@dataclass(frozen=True)
class ModelFile:
    """A file on this machine.

    Attributes:
        path: where it is.
        discard: for a download that was used for the first time, to be called if it can't be read:
            drops its record, and removes it unless it is what its source meant to give.
    """

    path: Path
    discard: Callable[[], None] | None = None

    @contextmanager
    def being_read(self) -> Iterator[Path]:
        """Yield the path; if the block raises a CheckpointError, discard the file."""
        try:
            yield self.path
        except CheckpointError:
            if self.discard is not None:
                self.discard()
            raise


def checked(
    address: str,
    origin: str,
    path: Path,
    digest: str,
    *,
    vouched: bool,
    remove: Callable[[], None],
) -> ModelFile:
    """Compare a download with the record of its first use, and say where it came from.

    Args:
        address: what the file is known by, wherever it was got.
        origin: where it was got, for the log.
        path: where it is.
        digest: its SHA-256.
        vouched: whether its source gave a checksum, which it has.
        remove: removes it, so that it is downloaded again the next time.

    Raises:
        CheckpointError: it is not what it was at its first use.
    """
    try:
        first = checksums.check_record(address, path, digest)
    except CheckpointError:
        if not vouched:
            remove()
        raise
    _log.info("%s from %s: %s", address, origin, path)

    def discard() -> None:
        checksums.forget_record(address)
        if not vouched:
            remove()

    return ModelFile(path, discard if first else None)


def reason(error: BaseException) -> str:
    """What is behind an error of a network library, on one line."""
    while inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = inner
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
