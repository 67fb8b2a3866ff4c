"""Files of audio and video tracks: which FFmpeg may read, and which are cut short."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

# Names of FFmpeg's demuxers that read one file and nothing else: no playlists, no scripts.
CONTAINERS = (
    *("mov", "matroska", "asf", "aac", "ogg", "avi", "flv", "mpegts", "mpeg", "mxf", "nut", "rm"),
    *("wav", "w64", "aiff", "au", "caf", "flac", "mp3", "ac3", "eac3", "dts", "truehd", "amr"),
    *("ape", "wv", "tta", "tak", "mpc", "mpc8", "dsf", "iff", "oma", "loas"),
)

_MP4_PARTS = (
    *(b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"free", b"skip", b"wide"),
    *(b"uuid", b"meta", b"udta", b"pdin", b"prft", b"emsg", b"ssix"),
)
_MAX_PARTS = 1_000_000  # of an MP4: ten hours in fragments of 0.04 s
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")


def reason_for_cut_container(path: Path) -> str:
    """Say how an MP4, Matroska or ASF file is cut short; "" if it is whole or unknown.

    Each states sizes in its outermost structure, which is all that is read here.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(16)
        file.seek(0)
        if start[4:8] in _MP4_PARTS:
            return _cut_mp4(file, size)
        if start[:4] == _EBML:
            return _cut_matroska(file, size)
        if start == _ASF_HEADER:
            return _cut_asf(file, size)
    return ""


def _cut_mp4(file: BinaryIO, size: int) -> str:
    """A row of parts: 32 bits of size, four letters; or size 1 and 64 bits after the letters."""
    place = 0
    for _ in range(_MAX_PARTS):
        file.seek(place)
        header = file.read(16)
        if len(header) < 8 or header[4:8] not in _MP4_PARTS:
            return ""
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if length < 8:  # 0: to the end of the file
            return ""
        if place + length > size:
            name = header[4:8].decode()
            return f"its part {name!r} promises {length} bytes, {size - place} are there"
        place += length
    return ""


def _cut_matroska(file: BinaryIO, size: int) -> str:
    """An EBML header, then one segment with all the rest; its size may be left open."""
    for wanted in (_EBML, _SEGMENT):
        if file.read(4) != wanted:
            return ""
        length = _read_vint(file)
        if length is None:
            return ""
        if file.tell() + length > size:
            return f"its header promises {length} bytes, {size - file.tell()} are there"
        if wanted == _EBML:
            file.seek(length, 1)
    return ""


def _read_vint(file: BinaryIO) -> int | None:
    """A number whose leading zero bits count its bytes; None if it is all ones: unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    bits = 7 * width
    value = int.from_bytes(first + file.read(width - 1), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value


def _cut_asf(file: BinaryIO, size: int) -> str:
    """The header object holds others; the one of file properties has the size of the file."""
    length = int.from_bytes(file.read(24)[16:], "little")
    header = file.read(min(length, 1 << 20))
    place = header.find(_ASF_FILE)
    if place < 0 or len(header) < place + 92:
        return ""
    stated = int.from_bytes(header[place + 40 : place + 48], "little")
    flags = int.from_bytes(header[place + 88 : place + 92], "little")
    broadcast = flags & 1  # then the size says nothing
    if broadcast or stated <= size:
        return ""
    return f"its header promises {stated} bytes, {size} are there"
