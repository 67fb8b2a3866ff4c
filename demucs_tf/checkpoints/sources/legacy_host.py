"""The host of the reference's `.th` packages, before they were on the hub.

Reference: demucs/pretrained.py::ROOT_URL, demucs/repo.py::RemoteRepo
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demucs_tf.checkpoints.sources.checksums import check_name
from demucs_tf.checkpoints.sources.downloads import ModelFile, checked, reason
from demucs_tf.checkpoints.sources.published import LEGACY_FILES
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from demucs_tf.utils.cache import cache_folder

ROOT = "https://dl.fbaipublicfiles.com/demucs/"
URL_VARIABLE = "DEMUCS_TF_LEGACY_URL"
_CONNECT_SECONDS = 10
_READ_SECONDS = 30
_BLOCK = 2**20


def download(signature: str) -> ModelFile:
    """Get the package of a published model, from our cache if it is there.

    Raises:
        ModelNotFoundError: the host can't be reached, or does not have it.
        CheckpointError: it does not arrive whole, or has another checksum than published.
    """
    import requests

    file = LEGACY_FILES[signature]
    origin = os.environ.get(URL_VARIABLE) or ROOT
    url = f"{origin.rstrip('/')}/{file}"
    try:
        path = _fetch(url, cached_path(signature))
    except requests.HTTPError as error:
        if error.response is not None:  # pooch leaves it open
            error.response.close()
        raise ModelNotFoundError(f"{url}: the host does not give it ({reason(error)})") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise ModelNotFoundError(f"{url}: can't be reached ({reason(error)})") from error
    except (requests.RequestException, OSError) as error:
        raise CheckpointError(f"{url}: the download failed ({reason(error)})") from error
    digest = _check_published(url, path)
    # The address is the host's even where a mirror gave the file: it has to be the same file.
    return checked(ROOT + file, origin, path, digest, vouched=True, remove=path.unlink)


def cached_path(signature: str) -> Path:
    """Where the package of a published model is, or would be."""
    return cache_folder() / "legacy" / Path(LEGACY_FILES[signature]).name


def _check_published(url: str, path: Path) -> str:
    try:
        return check_name(path, path.stem.rpartition("-")[2])
    except CheckpointError as error:
        path.unlink()
        raise CheckpointError(f"{url}: {error} It was removed: try again") from error


def _fetch(url: str, path: Path) -> Path:
    import pooch
    from tqdm import tqdm

    if path.exists():
        return path
    # Pooch asks whether the bar is true, which tqdm is with a total; pooch sets the right one.
    bar = tqdm(total=1, desc=path.name, unit="B", unit_scale=True, disable=None)
    with bar, _quiet(pooch.get_logger()):
        download = pooch.HTTPDownloader(
            progressbar=bar, chunk_size=_BLOCK, timeout=(_CONNECT_SECONDS, _READ_SECONDS)
        )
        # Pooch knows whole checksums only, so `_check_published` compares the published part.
        pooch.retrieve(url, None, path.name, path.parent, downloader=download)
    return path


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch from printing what we log ourselves."""
    # No level: pooch's logger is not one of the manager's, so it would go on by a cached one.
    logger.addFilter(_is_warning)
    try:
        yield
    finally:
        logger.removeFilter(_is_warning)


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
