"""The Hugging Face hub, where the reference's models are published.

Everything that huggingface_hub reads from the environment holds here too: HF_ENDPOINT, HF_HOME,
HF_HUB_CACHE, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT, HF_TOKEN and others.

Reference: demucs/hf.py
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from demucs_tf.checkpoints.sources.checksums import sha256
from demucs_tf.checkpoints.sources.downloads import ModelFile, checked, reason
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from demucs_tf.utils.text import shown

PREFIX = "hf://"
NAMESPACE = "adefossez"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def repository(name: str, namespace: str = NAMESPACE) -> str:
    """The repository of a bag: `htdemucs_ft` -> `adefossez/HTDemucs-ft`.

    Reference: demucs/hf.py::hf_repo_name
    """
    if name == "htdemucs":
        return f"{namespace}/HTDemucs"
    if name.startswith("htdemucs_"):
        return f"{namespace}/HTDemucs-{name.removeprefix('htdemucs_')}"
    return f"{namespace}/Demucs-{name}"


def split_address(address: str) -> tuple[str, str]:
    """`hf://NAMESPACE/NAME` or `hf://NAME` -> (repository, name of the bag).

    Raises:
        ModelNotFoundError: it is neither.
    """
    *namespace, name = address.removeprefix(PREFIX).split("/")
    parts = [*(namespace or [NAMESPACE]), name]
    if len(parts) != 2 or not all(_PART.fullmatch(part) and ".." not in part for part in parts):
        raise ModelNotFoundError(
            f"'{shown(address)}': wanted an address like hf://htdemucs or hf://NAMESPACE/NAME, of "
            "letters, digits, '-', '_' and '.'."
        )
    return repository(name, parts[0]), name


def download(repository: str, file: str) -> ModelFile:
    """Get a file of a repository, from the cache of huggingface_hub if it is up to date there.

    Raises:
        ModelNotFoundError: the hub does not have it, or can't be reached and the cache lacks it.
        CheckpointError: it does not arrive whole, or is not what it should be.
    """
    import huggingface_hub
    from huggingface_hub import constants, utils

    address = f"{PREFIX}{repository}/{file}"
    endpoint = constants.ENDPOINT
    try:
        path = Path(huggingface_hub.hf_hub_download(repository, file))
    except utils.LocalEntryNotFoundError as error:
        why = (
            "offline mode is on (HF_HUB_OFFLINE)"
            if constants.HF_HUB_OFFLINE
            else f"{endpoint} can't be reached ({reason(error)})"
        )
        raise ModelNotFoundError(f"{address}: not in the cache, and {why}") from error
    except (
        utils.EntryNotFoundError,
        utils.RepositoryNotFoundError,
        utils.RevisionNotFoundError,
    ) as error:
        raise ModelNotFoundError(
            f"{address}: {endpoint} does not have it, or not for you"
        ) from error
    except Exception as error:  # of whichever network library huggingface_hub uses
        raise CheckpointError(
            f"{address}: the download from {endpoint} failed ({reason(error)})"
        ) from error
    digest = sha256(path)
    vouched = _check_etag(address, path, digest)
    return checked(address, endpoint, path, digest, vouched=vouched, remove=lambda: _remove(path))


def cached(repository: str, file: str) -> Path | None:
    """Where a file is in the cache of huggingface_hub; None: not there."""
    import huggingface_hub

    path = huggingface_hub.try_to_load_from_cache(repository, file)
    return Path(path) if isinstance(path, str) else None


def _check_etag(address: str, path: Path, digest: str) -> bool:
    """Whether a cached file has the checksum that the hub gave for it; False: it gave none.

    Raises:
        CheckpointError: it has another one; the file is removed.
    """
    etag = _etag(path)
    if re.fullmatch("[0-9a-f]{64}", etag):  # stored by git-lfs
        kind, found = "SHA-256", digest
    elif re.fullmatch("[0-9a-f]{40}", etag):  # stored by git
        kind, found = "git SHA-1", _git_sha1(path)
    else:
        return False
    if found == etag:
        return True
    _remove(path)
    raise CheckpointError(
        f"{address}: the file arrived damaged. Expected the {kind} {etag}, found {found}. It was "
        "removed from the cache: try again"
    )


def _etag(path: Path) -> str:
    """What the hub called this version of the file; empty if the cache does not tell."""
    # A snapshot's file is a link to blobs/ETAG, which may itself be a link to a blob shared by
    # repositories, under another name. Without symlinks there is only a copy.
    if not path.is_symlink():
        return ""
    target = Path(os.readlink(path))
    return target.name if target.parent.name == "blobs" else ""


def _git_sha1(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _remove(path: Path) -> None:
    """Remove a file from the cache, with the blobs that it links to."""
    while True:
        target = path.parent / os.readlink(path) if path.is_symlink() else None
        path.unlink(missing_ok=True)
        if target is None:
            return
        path = target
