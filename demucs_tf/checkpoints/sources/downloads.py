"""Files that were downloaded: what they were at their first use, and how to be rid of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demucs_tf.errors import CheckpointError
from demucs_tf.utils.atomic import write_whole
from demucs_tf.utils.cache import cache_folder
from demucs_tf.utils.text import reason_of, shown

_LOCK_SECONDS = 30
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
        first = check_record(address, path, digest)
    except CheckpointError:
        if not vouched:
            remove()
        raise
    _log.info("%s from %s: %s", address, origin, path)

    def discard() -> None:
        forget_record(address)
        if not vouched:
            remove()

    return ModelFile(path, discard if first else None)


def reason(error: BaseException) -> str:
    """What is behind an error of a network library, on one line."""
    while inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = inner
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


# Records of first uses


def records_file() -> Path:
    """The JSON file that maps the address of each download to its SHA-256."""
    return cache_folder() / "checksums.json"


def check_record(address: str, path: Path, digest: str) -> bool:
    """Compare a download with the record of its first use, or make that record.

    Args:
        address: where the file comes from.
        path: where it is.
        digest: its SHA-256.

    Returns:
        whether this was the first use.

    Raises:
        CheckpointError: the file is not what it was, or the records can't be understood.
    """
    from filelock import FileLock

    known = _read_records().get(address)
    if known is None:
        records = records_file()
        try:
            records.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{records}.lock", timeout=_LOCK_SECONDS):
                known = _read_records().get(address)
                if known is None:
                    _write_records({**_read_records(), address: digest})
                    return True
        except OSError as error:  # a read-only folder is no reason to refuse a model
            _log.warning("%s: can't record the checksum of %s (%s).", records, address, error)
            return True
    if known != digest:
        raise CheckpointError(
            f"{address}: its file {path} is not what it was when it was first used. Expected the "
            f"SHA-256 {known}, found {digest}. Try again, in case the file was damaged; if its "
            f"publisher has replaced it and you trust that, remove its entry from {records_file()}."
        )
    return False


def forget_record(address: str) -> None:
    """Drop the record of a file that turned out to be unusable at its first use."""
    from filelock import FileLock

    try:
        with FileLock(f"{records_file()}.lock", timeout=_LOCK_SECONDS):
            records = _read_records()
            if records.pop(address, None):
                _write_records(records)
    except OSError as error:
        _log.warning("%s: can't drop the record of %s (%s).", records_file(), address, error)


def _read_records() -> dict[str, str]:
    path = records_file()
    try:
        records = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CheckpointError(
            f"{path}: the records of checksums can't be read ({reason_of(error)})."
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: the records of checksums are damaged ({shown(error)}). Delete the file; the "
            "downloads will then be recorded anew, without a check against earlier ones."
        ) from error
    if not isinstance(records, dict) or not all(isinstance(v, str) for v in records.values()):
        raise CheckpointError(f"{path}: wanted an object of texts. Delete the file.")
    return records


def _write_records(records: dict[str, str]) -> None:
    with write_whole(records_file()) as temporary:
        temporary.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", "utf-8")
