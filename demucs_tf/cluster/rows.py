"""Which tracks are meant: paths, folders, patterns, addresses, and lists of them in files."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from demucs_tf.cluster.job import Job, Row
from demucs_tf.cluster.store import StoreError, filesystem, local_path, read_bytes
from demucs_tf.errors import AudioError, UsageError
from demucs_tf.tracks import outputs
from demucs_tf.tracks.find import AUDIO_SUFFIXES, Track, find_tracks

_MAGIC = "*?["
Failed = Callable[[Path, AudioError], object]


def gather(
    arguments: Iterable[str | os.PathLike[str]],
    listed: str | None = None,
    column: str | None = None,
    *,
    skip: Iterable[Path] = (),
    failed: Failed | None = None,
) -> list[Row]:
    """The tracks that are meant, each once, in their order.

    Args:
        arguments: paths, folders and patterns, see `find_tracks`; addresses of files and
            folders, and patterns of addresses.
        listed: a file with one of them a line, or of type .csv or .parquet with a column of them.
            Where a track lies below the folder that holds all of them is its `{folder}`.
        column: the name of the column; None: "track", or the only one.
        skip, failed: see `find_tracks`.

    Raises:
        AudioError: nothing is found by a folder or a pattern.
        StoreError: a store or the list can't be read.
        UsageError: the list has no such column.
    """
    paths = [os.fspath(each) for each in arguments]
    rows: dict[str, Row] = {}
    for each in _runs(paths):
        if local_path(each[0]) is None:
            for row in _at(each[0]):
                rows.setdefault(row.address, row)
            continue
        for track in find_tracks([local_path(path) or path for path in each], skip, failed):
            row = Row(os.path.abspath(track.path), track.folder.as_posix())
            rows.setdefault(row.address, row)
    if listed is not None:
        for row in _below_their_folder(_addresses(listed, column)):
            rows.setdefault(row.address, row)
    return list(rows.values())


def _runs(paths: list[str]) -> Iterator[list[str]]:
    """Addresses one by one, and the paths between them together."""
    run: list[str] = []
    for path in paths:
        if local_path(path) is not None:
            run.append(path)
            continue
        if run:
            yield run
        run = []
        yield [path]
    if run:
        yield run


def _at(address: str) -> Iterator[Row]:
    """What an address means: a file, a folder, or a pattern."""
    many = any(sign in address.partition("://")[2] for sign in _MAGIC)
    store, path = filesystem(address)
    if not many and (PurePosixPath(path).suffix.lower() in AUDIO_SUFFIXES or not store.isdir(path)):
        yield Row(address)
        return
    base = path.rstrip("/")
    while any(sign in base for sign in _MAGIC):
        base = base.rpartition("/")[0]
    try:
        found = sorted(store.glob(path) if many else store.find(path))
    except Exception as error:  # of whatever library
        raise StoreError(f"{address}: it can't be listed: {error}.") from error
    names = [name for name in found if PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES]
    if not names:
        raise AudioError(
            f"{address}: expected audio files, found none. A file is taken whatever its suffix if "
            "it is named itself."
        )
    for name in names:
        below = PurePosixPath(os.path.relpath(name, base or ".")).parent.as_posix()
        yield Row(str(store.unstrip_protocol(name)), below)


def _below_their_folder(addresses: Sequence[str]) -> Iterator[Row]:
    """Rows of addresses, with where each lies below the folder that holds all of them."""
    whole = [each if local_path(each) is None else _absolute(each) for each in addresses]
    folders = {each.rpartition("/")[0] for each in whole}
    first = min(folders, default="").split("/")
    last = max(folders, default="").split("/")
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    for address in whole:
        yield Row(address, "/".join(address.split("/")[same:-1]) or ".")


def _absolute(path: str) -> str:
    return os.path.abspath(local_path(path) or path)


def _addresses(listed: str, column: str | None) -> list[str]:
    data = read_bytes(listed)
    suffix = PurePosixPath(listed).suffix.lower()
    try:
        if suffix == ".parquet":
            found = _of_parquet(data, listed, column)
        else:
            text = data.decode("utf-8-sig")
            found = _of_csv(text, listed, column) if suffix == ".csv" else text.splitlines()
    except (ValueError, csv.Error) as error:  # pyarrow's are ValueErrors
        if isinstance(error, UsageError):
            raise
        raise StoreError(f"{listed}: expected a list of tracks, found other data: {error}.") from (
            error
        )
    if suffix not in (".csv", ".parquet") and column is not None:
        raise UsageError(f"--column {column}: {listed} is a text, one track a line.")
    wanted = [each.strip() for each in found if each and each.strip()]
    wanted = [each for each in wanted if not each.startswith("#")]
    if not wanted:
        raise StoreError(f"{listed}: expected a list of tracks, found none in it.")
    return wanted


def _of_csv(text: str, listed: str, column: str | None) -> list[str]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    name = _column(listed, list(reader.fieldnames or ()), column)
    return [line[name] or "" for line in reader]


def _of_parquet(data: bytes, listed: str, column: str | None) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(data))
    name = _column(listed, file.schema_arrow.names, column)
    values: Any = file.read([name]).column(0)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise UsageError(f"--column {name}: expected texts in {listed}, found {values.type}.")
    return [value or "" for value in values.to_pylist()]


def _column(listed: str, names: list[str], wanted: str | None) -> str:
    if wanted is None:
        wanted = "track" if "track" in names else names[0] if len(names) == 1 else None
    if wanted is None or wanted not in names:
        found = ", ".join(names) or "none"
        asked = "" if wanted is None else f" {wanted}"
        raise UsageError(f"--column{asked}: {listed} has the columns {found}. Name one of them.")
    return wanted


# Where they go.


def track_of(row: Row) -> Track:
    """The row as names are made of it: only the last part of the address counts."""
    return Track(Path(row.address), Path(row.folder))


def check_distinct(rows: Iterable[Row], job: Job) -> None:
    """UsageError if two tracks would get the same files; takes 100 bytes a row meanwhile."""
    owners: dict[int, Row] = {}
    for row in rows:
        name = outputs.rendered(job.template, track_of(row), "{stem}", job.extension)
        other = owners.setdefault(hash(os.path.normpath(name)), row)
        if other is not row:
            raise UsageError(
                outputs.same_files(job.template, track_of(other), track_of(row), Path(name))
            )


def check_not_overwritten(rows: Iterable[Row], job: Job, stems: Sequence[str]) -> None:
    """UsageError if a stem would replace a track that is still to be read."""
    out = local_path(job.out)
    if out is None:
        return
    folder = os.path.join(os.path.realpath(out), "")
    inside = [row for row in rows if os.path.realpath(row.address).startswith(folder)]
    if not inside:
        return
    tracks = {os.path.realpath(row.address) for row in inside}
    for row in rows:
        for stem in stems:
            name = outputs.rendered(job.template, track_of(row), stem, job.extension)
            if (path := os.path.realpath(os.path.join(folder, name))) in tracks:
                raise UsageError(f"{path} is a track to separate and would be overwritten.")
