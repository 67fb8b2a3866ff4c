"""Tags: the title, the artist and so on that a track's file has, for the files of its stems.

They are text that nobody vouches for: what is no letter or sign becomes a space, and it is cut.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Tags = Mapping[str, str]
_LONGEST = 300  # letters


@dataclass(frozen=True)
class _Name:
    """What a tag is called by FFmpeg, in the INFO list of a WAV, and in ID3."""

    ffmpeg: str
    info: bytes
    id3: bytes


# By the name that libsndfile has for it, in the order in which they are written.
NAMES = {
    "title": _Name("title", b"INAM", b"TIT2"),
    "artist": _Name("artist", b"IART", b"TPE1"),
    "album": _Name("album", b"IPRD", b"TALB"),
    "tracknumber": _Name("track", b"ITRK", b"TRCK"),
    "date": _Name("date", b"ICRD", b"TDRC"),
    "genre": _Name("genre", b"IGNR", b"TCON"),
}


def cleaned(found: Mapping[str, Any]) -> dict[str, str]:
    """Those of `NAMES` that have a text, fit to be shown and written anywhere."""
    texts = {name: found.get(name) for name in NAMES}
    clean = {
        name: "".join(each if each.isprintable() else " " for each in text[:_LONGEST]).strip()
        for name, text in texts.items()
        if isinstance(text, str)
    }
    return {name: text for name, text in clean.items() if text}


def from_ffmpeg(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Tags by libsndfile's names out of those by FFmpeg's, in any case."""
    known = {key.lower(): text for key, text in pairs}
    return {name: known[own.ffmpeg] for name, own in NAMES.items() if own.ffmpeg in known}


def of_stem(tags: Tags, stem: str) -> dict[str, str]:
    """A track's tags for one of its stems, whose name stands behind the title; none of none."""
    title = f"{tags['title']} ({stem})" if "title" in tags else stem
    return {**tags, "title": title} if tags else {}


def info_list(tags: Tags) -> bytes:
    """The chunk of a WAV with these tags; nothing for none."""
    if not tags:
        return b""
    chunks = b"INFO"
    for name, text in tags.items():
        data = text.encode() + b"\0"
        chunks += NAMES[name].info + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return b"LIST" + struct.pack("<I", len(chunks)) + chunks


def id3(tags: Tags) -> bytes:
    """What an MP3 with these tags begins with, ID3v2.4; nothing for none."""
    frames = b""
    for name, text in tags.items():
        data = b"\3" + text.encode()  # UTF-8
        frames += NAMES[name].id3 + _seven_bits(len(data)) + bytes(2) + data
    return b"ID3\4\0\0" + _seven_bits(len(frames)) + frames if tags else b""


def _seven_bits(size: int) -> bytes:
    """Four bytes of seven bits, so that none looks like the start of a frame of MP3."""
    return bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
