"""Zip archives bent by hand: what other readers may find otherwise in them than ours."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

ARCHIVES = (".th", ".keras")
_ZIP64 = struct.pack("<2H2Q", 1, 16, 5, 5)


@dataclass
class Entry:
    """An entry, with what its local header (`local`) and the directory (`listed`) say of it."""

    name: bytes
    data: bytes
    local: dict[str, int] = field(default_factory=dict)
    listed: dict[str, int] = field(default_factory=dict)
    local_name: bytes | None = None
    local_extra: bytes = b""
    listed_extra: bytes = b""
    comment: bytes = b""
    behind: bytes = b""
    is_listed: bool = True

    def _fields(self, said: dict[str, int]) -> dict[str, int]:
        size = len(self.data)
        sizes = {"crc": zlib.crc32(self.data), "packed": size, "size": size}
        return {"version": 20, "flags": 0, "method": 0, "time": 0, "date": 33, **sizes, **said}

    def header(self) -> bytes:
        """The local header."""
        name = self.name if self.local_name is None else self.local_name
        values = self._fields(self.local).values()
        lengths = len(name), len(self.local_extra)
        return struct.pack("<4s5H3L2H", b"PK\3\4", *values, *lengths) + name + self.local_extra

    def row(self, place: int) -> bytes:
        """Its part of the directory."""
        values = self._fields(self.listed).values()
        lengths = len(self.name), len(self.listed_extra), len(self.comment)
        head = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, *values, *lengths, 0, 0, 0, place)
        return head + self.name + self.listed_extra + self.comment


@dataclass
class Archive:
    """An archive in parts, any of which may be bent before they are put together."""

    entries: list[Entry]
    front: bytes = b""
    shift: int = 0  # added to what the directory says of places
    before_directory: bytes = b""
    before_end: bytes = b""
    end: dict[str, int] = field(default_factory=dict)
    comment: bytes = b""
    behind: bytes = b""
    zip64: dict[str, int] | None = None

    @staticmethod
    def of(content: bytes) -> Archive:
        """The parts of a sound archive."""
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return Archive([Entry(n.encode(), archive.read(n)) for n in archive.namelist()])

    def bytes(self) -> bytes:
        """The whole file."""
        content, directory = self.front, b""
        for entry in self.entries:
            if entry.is_listed:
                directory += entry.row(len(content) + self.shift)
            content += entry.header() + entry.data + entry.behind
        content += self.before_directory
        count = sum(entry.is_listed for entry in self.entries)
        end = {"disk": 0, "first": 0, "here": count, "count": count, "length": len(directory)}
        end |= {"start": len(content) + self.shift, **self.end}
        content += directory + self.before_end
        if self.zip64 is not None:
            said = {"at": len(content), "parts": 1, **end, **self.zip64}
            numbers = [said[name] for name in ("here", "count", "length", "start")]
            second = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *numbers)
            content += second + struct.pack("<4sLQL", b"PK\6\7", 0, said["at"], said["parts"])
        last = struct.pack("<4s4H2LH", b"PK\5\6", *end.values(), len(self.comment))
        return content + last + self.comment + self.behind


def two_directories(content: bytes, other: bytes) -> bytes:
    """`content` to readers that look in front of the end record, `other` to those that believe it.

    Both have the same names, and `other` is longer. Python's zipfile is of the first kind,
    PyTorch's reader of the second.
    """
    hidden = Archive.of(other)
    front = hidden.bytes()[: -struct.calcsize("<4s4H2LH")]
    length = sum(len(entry.row(0)) for entry in hidden.entries)
    shown = Archive.of(content)
    # Places count from where the stated start would make the directory lie.
    sound = shown.bytes()
    start = len(front) - length
    real = len(front) + len(sound) - struct.calcsize("<4s4H2LH") - length
    return Archive(shown.entries, front, start - real, end={"start": start}).bytes()


def as_stated(content: bytes) -> dict[str, bytes]:
    """The entries as a reader finds them that believes the end record and the directory."""
    found = {}
    *_, count, _, place, _ = struct.unpack("<4s4H2LH", content[-22:])
    for _ in range(count):
        fields = struct.unpack("<4s6H3L5H2L", content[place : place + 46])
        size, name, extra, comment, header = fields[8], *fields[10:13], fields[-1]
        local = struct.unpack("<2H", content[header + 26 : header + 30])
        data = header + 30 + sum(local)
        found[content[place + 46 : place + 46 + name].decode()] = content[data : data + size]
        place += 46 + name + extra + comment
    return found


def _first(change: Callable[[Entry], None]) -> Callable[[Archive], None]:
    return lambda archive: change(archive.entries[0])


def _set(where: str, **values: object) -> Callable[[Archive], None]:
    def change(archive: Archive) -> None:
        target = archive if where == "archive" else archive.entries[0]
        for name, value in values.items():
            setattr(target, name, value)

    return change


def _again(name: Callable[[bytes], bytes]) -> Callable[[Archive], None]:
    def change(archive: Archive) -> None:
        last = archive.entries[-1]
        archive.entries.append(Entry(name(last.name), last.data))

    return change


def _shared(archive: Archive) -> None:
    """Two entries of the directory have the same bytes."""
    *before, last = archive.entries
    place = sum(len(entry.header()) + len(entry.data) for entry in before)
    rows = sum(len(entry.row(0)) for entry in archive.entries)
    archive.before_end = Entry(last.name + b"2", last.data[:0]).row(place)
    count = len(archive.entries) + 1
    archive.end = {"here": count, "count": count, "length": rows + len(archive.before_end)}


def _streamed(**said: int) -> Callable[[Archive], None]:
    """As written to a pipe: the sizes behind the bytes, and there `said` instead."""

    def change(archive: Archive) -> None:
        entry = archive.entries[0]
        sizes = {"crc": zlib.crc32(entry.data), "packed": len(entry.data), "size": len(entry.data)}
        entry.listed = {"flags": 8}
        entry.local = {"flags": 8, "crc": 0, "packed": 0, "size": 0}
        entry.behind = struct.pack("<4s3L", b"PK\7\10", *(sizes | said).values())

    return change


# Name -> what is done to the parts of a sound archive, and the error.
_TWO = "damaged, or made to be read in two ways"
BENT: dict[str, tuple[Callable[[Archive], object], str]] = {
    "an entry in front that nothing lists": (
        lambda archive: archive.entries.insert(0, Entry(b"x", b"y", is_listed=False)),
        "does not begin where",
    ),
    "an archive in front": (
        lambda archive: _set("archive", front=archive.bytes())(archive),
        "does not begin where",
    ),
    "an archive in front that the places do not count": (
        lambda archive: _set("archive", front=archive.bytes(), shift=-len(archive.bytes()))(
            archive
        ),
        "does not end where its end record begins",
    ),
    "bytes between entries": (_set("entry", behind=b"x"), "does not begin where"),
    "bytes in front of the directory": (
        _set("archive", before_directory=b"x"),
        "between its entries and its directory",
    ),
    "bytes behind the directory": (_set("archive", before_end=b"x"), "does not end where its end"),
    "bytes behind the directory that it counts": (
        lambda archive: _set(
            "archive",
            before_end=b"x",
            end={"length": 1 + sum(len(entry.row(0)) for entry in archive.entries)},
        )(archive),
        "more than its entries",
    ),
    "bytes behind the end": (_set("archive", behind=b"x" * 30), "cut off or damaged"),
    "a comment": (_set("archive", comment=b"x" * 30), "cut off or damaged"),
    "an end in the comment": (
        lambda archive: _set("archive", comment=archive.bytes()[-22:])(archive),
        "does not end where its end record begins",
    ),
    "an archive as the comment": (
        _set("archive", comment=Archive([Entry(b"x", b"y")]).bytes()),
        "does not end where its end record begins",
    ),
    "several parts": (_set("archive", end={"disk": 1, "first": 1}), "parts or a comment"),
    "fewer entries here": (_set("archive", end={"here": 1}), "parts or a comment"),
    "fewer entries than there are": (
        _set("archive", end={"here": 1, "count": 1}),
        "more than its entries",
    ),
    "more entries than there are": (
        _set("archive", end={"here": 99, "count": 99}),
        _TWO,
    ),
    "an entry that the directory lacks": (
        lambda archive: archive.entries.append(Entry(b"x", b"y", is_listed=False)),
        "between its entries and its directory",
    ),
    "bytes of two entries": (_shared, "does not begin where"),
    "another name in the header": (
        _first(lambda entry: setattr(entry, "local_name", b"x" * len(entry.name))),
        "another one in the directory",
    ),
    **{
        f"another {name} in the header": (
            _set("entry", local={name: value}),
            "another one in the directory",
        )
        for name, value in {
            "version": 10,
            "flags": 0x800,
            "method": 8,
            "time": 1,
            "date": 1,
            "crc": 1,
            "packed": 1,
            "size": 1,
        }.items()
    },
    "an encrypted entry": (_set("entry", listed={"flags": 1}, local={"flags": 1}), "unknown flags"),
    "an encrypted directory": (
        _set("entry", listed={"flags": 0x2000}, local={"flags": 0x2000}),
        "unknown flags",
    ),
    "a version that few know": (
        _set("entry", listed={"version": 252}, local={"version": 252}),
        "an entry is of version 252",
    ),
    "another checksum": (
        _set("entry", listed={"crc": 1}, local={"crc": 1}),
        "is damaged|Bad CRC-32",
    ),
    "an extra field of the header": (
        _set("entry", local_extra=struct.pack("<2HL", 0x7075, 4, 0)),
        "another one in the directory",
    ),
    "two paddings": (
        _set("entry", local_extra=b"FB\0\0" + struct.pack("<2HL", 0x7075, 4, 0)),
        "another one in the directory",
    ),
    "another name in the directory's extra field": (
        _set("entry", listed_extra=struct.pack("<2HBL", 0x7075, 6, 1, 0) + b"x"),
        "extra fields or a comment",
    ),
    "a comment of an entry": (_set("entry", comment=b"PK\5\6"), "extra fields or a comment"),
    "large sizes without need": (
        _set("entry", listed={"size": 2**32 - 1, "packed": 2**32 - 1}, listed_extra=_ZIP64),
        "extra fields or a comment",
    ),
    "large sizes in the header alone": (
        _set("entry", local={"size": 2**32 - 1, "packed": 2**32 - 1}, local_extra=_ZIP64),
        "another one in the directory",
    ),
    "a second end elsewhere": (_set("archive", zip64={"at": 0}), "end record lies elsewhere"),
    "a second end of two parts": (_set("archive", zip64={"parts": 2}), "record lies elsewhere"),
    "a second end with another start": (_set("archive", zip64={"start": 0}), "end records differ"),
    "a second end with another count": (_set("archive", zip64={"count": 1}), "end records differ"),
    "a second end with the real numbers": (
        _set("archive", zip64={}, end={"start": 2**32 - 1}),
        "end records differ|does not end where",
    ),
    "other sizes behind the bytes": (_streamed(size=1, packed=1), "other sizes behind it"),
    "another checksum behind the bytes": (_streamed(crc=1), "other sizes behind it"),
    "sizes behind the bytes that are missing": (
        _set("entry", listed={"flags": 8}, local={"flags": 8, "crc": 0, "packed": 0, "size": 0}),
        "other sizes behind it",
    ),
    "an entry twice": (_again(lambda name: name), "is there twice"),
    "an entry twice but for the case": (_again(bytes.swapcase), "is there twice"),
    "a name that is no text": (_again(lambda name: name + b"\xff"), "is no plain path"),
}
# What writers do and no reader can mistake.
SOUND: dict[str, Callable[[Archive], object]] = {
    "as it is": lambda archive: None,
    "aligned": _set("entry", local_extra=b"FB\3\0ZZZ"),
    "streamed": _streamed(),
    "the records of large archives": _set("archive", zip64={}),
}
