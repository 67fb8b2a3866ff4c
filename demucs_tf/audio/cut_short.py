"""Finds audio and video files that end before their own header says; decoders say nothing of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, BinaryIO

_MP3_FRAME = 1152
UNKNOWN_LENGTH = 1 << 48  # libsndfile states about 2**63 frames for a FLAC from a pipe
_OGG_PAGE_BYTES = 27 + 255 + 255 * 255

# What libsndfile notes about a chunk of samples that is shorter than stated: WAV and CAF "data",
# AIFF "SSND", AU "Data Size", W64 "riff".
_SHORT_CHUNK = re.compile(
    r"^\s*(?:data|SSND|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE
)
_SHORT_RF64 = re.compile(
    r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)"
)
_MP4_PARTS = (
    *(b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"free", b"skip", b"wide"),
    *(b"uuid", b"meta", b"udta", b"pdin", b"prft", b"emsg", b"ssix"),
)
_MAX_PARTS = 1_000_000  # of an MP4: ten hours in fragments of 0.04 s
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")


def reason_for_truncation(path: Path, file: Any, decoded: int) -> str:
    """Say how `path` is cut short; "" if it is whole or nothing can be known.

    Args:
        path: the file.
        file: the same as an open soundfile.SoundFile.
        decoded: frames that came out of it.

    FLAC needs nothing here: reading a short one fails.
    """
    if file.format == "OGG":
        return _ogg_end(path)
    if file.format == "MP3":
        states_length, slack = _mp3_states_length(path), _MP3_FRAME
    else:
        states_length, slack = True, 0
    if states_length and decoded < file.frames - slack:
        return f"its header promises {file.frames} samples, {decoded} are there"
    return _short_chunk(file.extra_info)


def _short_chunk(log: str) -> str:
    for stated, found in _SHORT_CHUNK.findall(log):
        if int(stated) > int(found) and not _is_placeholder(int(stated)):
            return f"its header promises {stated} bytes of audio, {found} are there"
    if match := _SHORT_RF64.search(log):
        found, stated = match.groups()
        if int(stated) > int(found):
            return f"its header promises {stated} samples, {found} are there"
    return ""


def _is_placeholder(size: int) -> bool:
    """Programs that write WAV to a pipe state about 2**31 or 2**32 bytes."""
    return any(limit - 8192 <= size <= limit for limit in (1 << 31, 1 << 32))


def _ogg_end(path: Path) -> str:
    """An Ogg stream ends with a whole page that is marked as its last (RFC 3533, section 6)."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(-min(file.tell(), 2 * _OGG_PAGE_BYTES), 2)
        tail = file.read()
    page = tail[tail.rfind(b"OggS\0") :]
    segments = page[26] if len(page) > 26 else 0
    size = 27 + segments + sum(page[27 : 27 + segments])
    last = len(page) > 26 and page[5] & 4
    if not last:
        return "its last page is missing"
    return "" if len(page) >= size else "its last page is incomplete"


def _mp3_states_length(path: Path) -> bool:
    """Whether the first frame is a Xing, Info or VBRI header; otherwise lengths are guesses."""
    with path.open("rb") as file:
        start = file.read(10)
        if start[:3] == b"ID3":  # a tag, its size in four groups of seven bits
            size = [byte << shift for byte, shift in zip(start[6:], (21, 14, 7, 0), strict=True)]
            file.seek(10 + sum(size))
        else:
            file.seek(0)
        frame = file.read(2048)
    return any(name in frame for name in (b"Xing", b"Info", b"VBRI"))


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
