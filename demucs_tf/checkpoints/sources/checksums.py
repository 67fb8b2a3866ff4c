"""SHA-256 of files: against their names, and against what they were when they were first used."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from pathlib import Path

import platformdirs

from demucs_tf.errors import CheckpointError
from demucs_tf.utils.atomic import write_whole
from demucs_tf.utils.text import reason_of, shown

CACHE_VARIABLE = "DEMUCS_TF_CACHE"
_BLOCK = 2**20
_LOCK_SECONDS = 30
_log = logging.getLogger("demucs_tf")


def cache_folder() -> Path:
    """Where downloads and their records are kept: $DEMUCS_TF_CACHE, or the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("demucs_tf")


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
