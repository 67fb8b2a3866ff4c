"""Finds audio files that end before their own header says; libsndfile reads on without a word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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
