"""Zip archives of stored entries, read so that every reader finds the same in them.

Zip says most things twice and lets bytes lie anywhere, and programs look for an archive's contents
in different ways: a file can show one content to the program that checks it and another to the one
that uses it. So nothing is left to choose here. From the first byte to the last there are entries,
their directory and its end record, each where the next one says, and what is said twice agrees.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple

from demucs_tf.errors import CheckpointError
from demucs_tf.utils.text import shown

MAX_SIZE = 2**32 - 2  # a larger archive has other records
_MAX_ENTRIES = 20_000  # the largest published model has 600
# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3 and 4.4
_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR = struct.Struct("<4s3L")
_DIRECTORY = struct.Struct("<4s6H3L5H2L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_STREAMED, _UTF8 = 0x8, 0x800
_VERSION = 63  # of the format, in tenths: Python's zipfile knows no later one


class _Listed(NamedTuple):
    """An entry as the directory has it."""

    name: str
    stored_name: bytes
    method: int
    common: list[int]  # version, flags, method, time, date: its local header has them as well
    numbers: list[int]  # checksum and both sizes, in the local header or behind the bytes
    place: int  # of its local header


class PlainZip:
    """An open archive, checked as a whole; the bytes of an entry are read when asked for.

    Args:
        writer: of such archives, for errors.
        advice: on what to do with a file that it did not write.

    Attributes:
        sizes: name -> size of each entry.

    Raises:
        CheckpointError: the archive is damaged, or has what `writer` never writes.
    """

    def __init__(self, file: BinaryIO, writer: str, advice: str) -> None:
        self._file = file
        size = file.seek(0, 2)
        start, length, count = self._end(size)
        listed = _directory(self._at(start, length), count)
        _check_names(listed, f"which {writer} never does. {advice}")
        total = sum(entry.numbers[1] for entry in listed)
        if total > size:
            raise CheckpointError(f"its entries claim {total} bytes in a file of {size}")
        self.sizes = {entry.name: entry.numbers[1] for entry in listed}
        self._checksums = {entry.name: entry.numbers[0] for entry in listed}
        self._places = self._walk(listed, start)

    def read(self, name: str) -> bytes:
        """The bytes of an entry."""
        data = self._at(self._places[name], self.sizes[name])
        if zlib.crc32(data) != self._checksums[name]:
            raise CheckpointError(
                f"its entry {shown(name)} is damaged (Bad CRC-32). Get the file again"
            )
        return data

    def _at(self, place: int, length: int) -> bytes:
        self._file.seek(place)
        return self._file.read(length)

    def _end(self, size: int) -> tuple[int, int, int]:
        """Where the directory starts, its length, and how many entries it has."""
        if size > MAX_SIZE:
            raise CheckpointError(f"it has {size} bytes, more than {MAX_SIZE}")
        end = size - _END.size
        tail = self._at(max(0, end), _END.size)
        if end < 0 or not tail.startswith(b"PK\5\6"):
            raise CheckpointError(
                "the file is cut off or damaged (a zip archive ends with its end record). "
                "Get the file again"
            )
        _, disk, first_disk, here, count, length, start, comment = _END.unpack(tail)
        _agree((disk, first_disk, here, comment) == (0, 0, count, 0), "it has parts or a comment")
        # torch.save writes the records for large archives into small ones as well.
        second = end - _LOCATOR.size - _END64.size
        records = self._at(max(0, second), _END64.size + _LOCATOR.size)
        if second >= 0 and records.startswith(b"PK\6\7", _END64.size):
            locator = _LOCATOR.unpack_from(records, _END64.size)
            _agree(locator == (b"PK\6\7", 0, second, 1), "its second end record lies elsewhere")
            mark, rest, _, _, *numbers = _END64.unpack_from(records)
            _agree(
                (mark, rest) == (b"PK\6\6", _END64.size - 12)
                and numbers == [0, 0, count, count, length, start],
                "its two end records differ",
            )
            end = second
        _agree(start + length == end, "its directory does not end where its end record begins")
        return start, length, count

    def _walk(self, listed: Iterable[_Listed], end: int) -> dict[str, int]:
        """Where the bytes of each entry are, found by going from entry to entry to the end."""
        place, places = 0, {}
        for entry in sorted(listed, key=lambda entry: entry.place):
            what = f"its entry {shown(entry.name)}"
            _agree(entry.place == place, f"{what} does not begin where the one before it ends")
            header = self._at(place, _LOCAL.size)
            _agree(len(header) == _LOCAL.size, f"{what} has no header")
            mark, *fields, name_length, extra_length = _LOCAL.unpack(header)
            rest = self._at(place + _LOCAL.size, name_length + extra_length)
            streamed = bool(entry.common[1] & _STREAMED)
            _agree(
                mark == b"PK\3\4"
                and fields == entry.common + ([0, 0, 0] if streamed else entry.numbers)
                and rest[:name_length] == entry.stored_name
                and _is_padding(rest[name_length:]),
                f"{what} is another one in the directory",
            )
            places[entry.name] = place + _LOCAL.size + len(rest)
            place = places[entry.name] + entry.numbers[1]
            if streamed:
                footer = _DESCRIPTOR.pack(b"PK\7\10", *entry.numbers)
                _agree(self._at(place, len(footer)) == footer, f"{what} has other sizes behind it")
                place += len(footer)
        _agree(place == end, "there is something between its entries and its directory")
        return places


def _directory(data: bytes, count: int) -> list[_Listed]:
    if count > _MAX_ENTRIES:
        raise CheckpointError(f"it has {count} entries, more than {_MAX_ENTRIES}")
    listed, place = [], 0
    for _ in range(count):
        _agree(data.startswith(b"PK\1\2", place) and len(data) >= place + _DIRECTORY.size, "short")
        _, _, *fields = _DIRECTORY.unpack_from(data, place)
        common, numbers, lengths = fields[:5], fields[5:8], fields[8:11]
        version, flags, method, _, _ = common
        place += _DIRECTORY.size
        name = data[place : place + lengths[0]]
        place += lengths[0]
        _agree(lengths[1:] == [0, 0] and fields[11] == 0, "an entry has extra fields or a comment")
        _agree(version <= _VERSION, f"an entry is of version {version}")
        _agree(not flags & ~(_STREAMED | _UTF8), "an entry is encrypted or has unknown flags")
        encoding = "utf-8" if flags & _UTF8 else "ascii"
        text = name.decode(encoding, "backslashreplace")
        listed.append(_Listed(text, name, method, common, numbers, fields[-1]))
    _agree(place == len(data), "its directory has more than its entries")
    return listed


def _check_names(listed: Iterable[_Listed], never: str) -> None:
    names = set()
    for name, _, method, _, (_, packed, size), _ in listed:
        if name.casefold() in names:  # some readers do not mind the case
            raise CheckpointError(f"its entry {shown(name)} is there twice")
        if "\\" in name or "\0" in name or {"", ".", ".."} & set(name.split("/")):
            raise CheckpointError(f"its entry {shown(name)} is no plain path")
        if method or packed != size:
            raise CheckpointError(f"its entry {shown(name)} is compressed, {never}")
        names.add(name.casefold())


def _is_padding(extra: bytes) -> bool:
    """Whether a local header has no extra field, or the one with which torch.save aligns data."""
    return not extra or extra[:4] == b"FB" + struct.pack("<H", len(extra) - 4)


def _agree(good: bool, why: str) -> None:
    if not good:
        raise CheckpointError(
            f"the archive is damaged, or made to be read in two ways ({why}). Get the file again"
        )
