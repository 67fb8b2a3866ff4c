"""Files by path or by `fsspec` address: read to this disk, and written whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from demucs_tf.audio.checks import check_file
from demucs_tf.errors import AudioError, DemucsTFError
from demucs_tf.utils.atomic import write_whole
from demucs_tf.utils.text import reason_of

_BLOCK = 1 << 20
# Those of one machine; its files are dealt with as paths.
_LOCAL = ("file", "local")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+")


class StoreError(DemucsTFError):
    """A store of files can't be reached, read or written."""


def local_path(address: str) -> Path | None:
    """The path that is meant; None: an address of another store."""
    scheme, found, rest = address.partition("://")
    if not found:
        return Path(address)
    return Path(unquote(rest)) if scheme in _LOCAL else None


def address_of(path: str | os.PathLike[str]) -> str:
    """The text that was made a path of: an address has lost a slash by it."""
    text = os.fspath(path)
    scheme, found, rest = text.partition(":/")
    if not found or not _SCHEME.fullmatch(scheme) or rest.startswith("/") or os.path.exists(text):
        return text
    return f"{scheme}:///{rest}" if scheme in _LOCAL else f"{scheme}://{rest}"


def filesystem(address: str) -> tuple[Any, str]:
    """The `fsspec` file system of an address, and the path in it.

    Raises:
        StoreError: no such scheme, or its package is not installed.
    """
    from fsspec.core import url_to_fs
    from fsspec.registry import known_implementations

    scheme = address.partition("://")[0]
    try:
        found: tuple[Any, str] = url_to_fs(address)
        return found
    except ImportError as error:
        wanted = known_implementations.get(scheme, {}).get("err", str(error))
        raise StoreError(
            f"{address}: {scheme}:// needs a package that is not installed: {wanted}. Install it "
            "on every node."
        ) from error
    except ValueError as error:
        raise StoreError(
            f"{address}: no store is known by {scheme}://: {error}. Use a path, or a scheme of "
            "fsspec."
        ) from error


def fetch(address: str, folder: Path) -> Path:
    """A file on this disk: itself, or a copy in `folder` under its own name.

    Raises:
        AudioError: it is not there, is empty, or did not come whole.
        StoreError: see `filesystem`.
        OSError: no room in `folder`.
    """
    path = local_path(address)
    if path is not None:
        check_file(path)
        return path
    store, remote = filesystem(address)
    copy = folder / (Path(remote).name or "track")
    try:
        size = store.info(remote).get("size")
        source = store.open(remote, "rb")
    except FileNotFoundError as error:
        raise AudioError(f"{address}: no such file.") from error
    except Exception as error:  # of whatever library
        raise AudioError(f"{address}: it can't be opened: {_said(error)}.") from error
    with source, copy.open("wb") as target:
        while block := _read(source, address):
            target.write(block)
    found = copy.stat().st_size
    if not found:
        raise AudioError(f"{address}: expected an audio file, found an empty one (0 bytes).")
    if size is not None and found != size:
        raise StoreError(f"{address}: expected {size} bytes, got {found}. Is it being written?")
    return copy


def _read(source: Any, address: str) -> bytes:
    try:
        block: bytes = source.read(_BLOCK)
    except Exception as error:
        raise StoreError(f"{address}: it can't be read to its end: {_said(error)}.") from error
    return block


def put(files: Mapping[str, Path]) -> None:
    """Bring finished files to a store, each under its name when it is whole.

    Args:
        files: for every address, not a path, where the file lies now.

    Raises:
        StoreError: they can't be written, or arrive in another size; what this call has written
            is removed then.
    """
    done: list[str] = []
    for address, path in files.items():
        try:
            _write(address, partial(_put_file, str(path)))
            store, name = filesystem(address)
            size, sent = store.info(name)["size"], path.stat().st_size
        except StoreError:
            _remove(done)
            raise
        done.append(address)
        if size != sent:
            _remove(done)
            raise StoreError(f"{address}: {sent} bytes were sent, {size} arrived. Try again.")


def _put_file(path: str, store: Any, name: str) -> None:
    store.put_file(path, name)


def _remove(addresses: list[str]) -> None:
    for address in addresses:
        with suppress(Exception):
            store, name = filesystem(address)
            store.rm_file(name)


def _write(address: str, write: Callable[[Any, str], object]) -> None:
    """In object stores a file is there when it is whole; elsewhere it is renamed when it is."""
    store, name = filesystem(address)
    known = (store.protocol,) if isinstance(store.protocol, str) else store.protocol
    whole = bool(_OBJECT_STORES.intersection(known))
    parent, _, last = name.rpartition("/")
    temporary = name if whole else f"{parent}/.{last[:32]}-{secrets.token_hex(8)}.part"
    try:
        if parent:
            store.makedirs(parent, exist_ok=True)
        write(store, temporary)
        if not whole:
            store.mv(temporary, name)
    except Exception as error:  # of whatever library
        if not whole:
            with suppress(Exception):
                store.rm_file(temporary)
        raise StoreError(
            f"{address}: can't write it: {_said(error)}. Check the address, and whether it may be "
            "written."
        ) from error


_OBJECT_STORES = frozenset(
    ("s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oci", "oss", "tos", "hf", "memory")
)


# Small files: what the manifest is made of.


def write_bytes(address: str, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        StoreError: it can't be written.
    """
    path = local_path(address)
    if path is None:
        _write(address, lambda store, name: store.pipe_file(name, data))
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise StoreError(f"{path}: can't write it: {reason_of(error)}. Free some space.") from error


def read_bytes(address: str) -> bytes:
    """The content of a file.

    Raises:
        StoreError: it can't be read.
    """
    path = local_path(address)
    try:
        if path is not None:
            return path.read_bytes()
        store, name = filesystem(address)
        data: bytes = store.cat_file(name)
        return data
    except DemucsTFError:
        raise
    except Exception as error:
        raise StoreError(f"{address}: it can't be read: {_said(error)}.") from error


def remove(*addresses: str) -> None:
    """Remove files of one store, in few calls where it can; those that are there."""
    far = []
    for address in addresses:
        path = local_path(address)
        if path is not None:
            path.unlink(missing_ok=True)
        else:
            far.append(address)
    if far:
        store, _ = filesystem(far[0])
        with suppress(FileNotFoundError):
            store.rm([filesystem(each)[1] for each in far])


def names_in(address: str) -> list[str]:
    """The names of what lies in a folder, sorted; none if there is no folder.

    Raises:
        StoreError: it can't be listed.
    """
    path = local_path(address)
    try:
        if path is not None:
            return sorted(os.listdir(path))
        store, name = filesystem(address)
        store.invalidate_cache()
        return sorted(each.rstrip("/").rpartition("/")[2] for each in store.ls(name, detail=False))
    except FileNotFoundError:
        return []
    except DemucsTFError:
        raise
    except Exception as error:
        raise StoreError(f"{address}: it can't be listed: {_said(error)}.") from error


def exists(address: str) -> bool:
    """Whether there is such a file."""
    path = local_path(address)
    if path is not None:
        return path.is_file()
    store, name = filesystem(address)
    return bool(store.isfile(name))


def joined(folder: str, name: str) -> str:
    """A path or an address below another."""
    return str(Path(folder, name)) if "://" not in folder else f"{folder.rstrip('/')}/{name}"


def _said(error: Exception) -> str:
    text = " ".join(reason_of(error).split()) or type(error).__name__
    return text.rstrip(".")[:300]
