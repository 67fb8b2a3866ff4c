"""One row a track: what became of it, in Parquet files that are written as the work goes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from demucs_tf.cluster.store import StoreError, joined, names_in, read_bytes, remove, write_bytes

FOLDER = "manifest.parquet"
DONE, FOUND, FAILED = "done", "found", "failed"
# Rows in a file, once there are so many: a file of single rows costs more than they do.
PART = 500
_NAME = re.compile(r"rows-(\d{12})-(\d{12})\.parquet")


@dataclass(frozen=True)
class Stem:
    """A file of a stem; what was only found in a store far away has no checksum."""

    name: str
    address: str
    sha256: str | None = None
    bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What became of a track.

    Attributes:
        track: its path or address.
        status: "done", "found" (its stems were there already) or "failed".
        input_sha256, input_bytes: of its file; None: it could not be read.
        stems: its stems, with their checksums.
        model, model_sha256: the model's name, and the hash of its weights.
        settings: all that shapes the stems besides, as JSON.
        length: of the track, in seconds.
        took: seconds of the last attempt.
        node: where that was.
        attempt: which that was, from 1.
        error: why it failed.
        finished: when, in seconds since 1970.
    """

    track: str
    status: str
    input_sha256: str | None = None
    input_bytes: int | None = None
    stems: list[Stem] = field(default_factory=list)
    model: str = ""
    model_sha256: str = ""
    settings: str = ""
    length: float | None = None
    took: float = 0.0
    node: str = ""
    attempt: int = 1
    error: str | None = None
    finished: float = 0.0


def _schema() -> Any:
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int64()
    stem = pa.struct([("name", text), ("address", text), ("sha256", text), ("bytes", whole)])
    return pa.schema(
        [
            ("track", text),
            ("status", text),
            ("input_sha256", text),
            ("input_bytes", whole),
            ("stems", pa.list_(stem)),
            ("model", text),
            ("model_sha256", text),
            ("settings", text),
            ("length", number),
            ("took", number),
            ("node", text),
            ("attempt", pa.int32()),
            ("error", text),
            ("finished", number),
        ]
    )


class Manifest:
    """The manifest of an output folder.

    A file has the numbers of its rows in its name. Rows are written at once, into a file of their
    own, and every `PART` of them once more into one file that replaces those: the time that a row
    takes does not depend on how many there are.

    Args:
        folder: the path or address of the folder with its files.

    Raises:
        StoreError: the folder can't be listed.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        found = [match for name in names_in(folder) if (match := _NAME.fullmatch(name))]
        ranges = sorted((int(match[1]), -int(match[2]), match[0]) for match in found)
        self._files: list[str] = []
        self._next = 0
        for first, last, name in ranges:
            if first < self._next:  # its rows are in a longer file; the writer was killed
                remove(joined(folder, name))
                continue
            self._files.append(name)
            self._next = -last + 1
        self._loose: list[str] = []
        self._rows: list[dict[str, Any]] = []  # those of the loose files
        self._first = self._next

    @property
    def files(self) -> list[str]:
        """The addresses of its files."""
        return [joined(self.folder, name) for name in (*self._files, *self._loose)]

    def add(self, entries: Sequence[Entry]) -> None:
        """Write rows.

        Raises:
            StoreError: they can't be written.
        """
        if not entries:
            return
        rows = [asdict(entry) for entry in entries]
        name = _name(self._next, len(rows))
        self._write(name, rows)
        self._next += len(rows)
        self._loose.append(name)
        self._rows += rows
        if len(self._rows) >= PART:
            self.compact()

    def compact(self) -> None:
        """Make one file of those with few rows."""
        if len(self._loose) > 1:
            name = _name(self._first, len(self._rows))
            self._write(name, self._rows)
            remove(*(joined(self.folder, old) for old in self._loose if old != name))
            self._loose = [name]
        self._files += self._loose
        self._loose, self._rows, self._first = [], [], self._next

    def review(self, keep: Callable[[Entry], bool]) -> None:
        """Read every row, and drop those that `keep` says no to, e.g. what will be done again.

        Raises:
            StoreError: a file can't be read, or is none of these.
        """
        for name in [*self._files]:
            entries = list(_entries(joined(self.folder, name)))
            kept = [entry for entry in entries if keep(entry)]
            if not kept:
                remove(joined(self.folder, name))
                self._files.remove(name)
            elif len(kept) < len(entries):
                self._write(name, [asdict(entry) for entry in kept])

    def entries(self) -> Iterator[Entry]:
        """Every row.

        Raises:
            StoreError: a file can't be read, or is none of these.
        """
        for address in self.files:
            yield from _entries(address)

    def _write(self, name: str, rows: list[dict[str, Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, _schema()), buffer, compression="zstd")
        write_bytes(joined(self.folder, name), buffer.getvalue())


def _name(first: int, count: int) -> str:
    return f"rows-{first:012}-{first + count - 1:012}.parquet"


def _entries(address: str) -> Iterable[Entry]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = read_bytes(address)
    try:
        rows = pq.read_table(io.BytesIO(data), schema=_schema()).to_pylist()
        return [_entry(row) for row in rows]
    except (pa.ArrowException, TypeError, KeyError, ValueError) as error:
        raise StoreError(
            f"{address}: expected a file of this package's manifest, found other or damaged data "
            f"({' '.join(str(error).split())[:200]}). Restore it, or move it away: the tracks in "
            "it whose stems are there are found again by --resume."
        ) from error


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(**{**row, "stems": [Stem(**stem) for stem in row["stems"] or ()]})
