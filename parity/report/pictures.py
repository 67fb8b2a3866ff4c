"""Pictures as data URLs."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core.kept.portrait import LEVELS, Portrait
from parity.core.result import Record, Result, badness

ROOM = 1_500_000  # characters of a page that pictures of errors may take
Array = npt.NDArray[Any]


def data_url(kind: str, content: bytes) -> str:
    """Content as an address that needs no file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def png(grey: Array, depth: int = 8) -> bytes:
    """A grey picture of 8 bits, or of 4: then with levels up to 15."""
    high, wide = grey.shape
    if depth == 4:
        even = np.pad(grey, ((0, 0), (0, wide % 2)))
        grey = (even[:, ::2] << 4) | even[:, 1::2]

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    head = struct.pack(">IIBBBBB", wide, high, depth, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def of_errors(results: Sequence[Result], room: int = ROOM) -> list[dict[int, list[Any]]]:
    """What the page shows of portraits, for each result by the position of the record.

    The worst tensors come first until there is no room left in the page.
    """
    found: list[dict[int, list[Any]]] = [{} for _ in results]
    ranked = sorted(_placed(results), key=lambda each: badness(each[2]), reverse=True)
    for number, position, _, portrait in ranked:
        shown = _shown(portrait)
        room -= len(shown[4]) + 100
        if room < 0:
            break
        found[number][position] = shown
    return found


def _placed(results: Sequence[Result]) -> Iterable[tuple[int, int, Record, Portrait]]:
    for number, result in enumerate(results):
        known = {(p.path, p.call, p.output, p.mode): p for p in result.portraits}
        for position, record in enumerate(result.layers):
            portrait = known.get((record.path, record.call, record.output, record.mode))
            if portrait and record.kind != "parameter":
                yield number, position, record, portrait


def _shown(portrait: Portrait) -> list[Any]:
    """Axes, the largest error, the picture, and counts of last places; see portrait.js."""
    cells = np.frombuffer(portrait.cells, np.uint8).reshape(portrait.high, portrait.wide)
    assert LEVELS == 15, "a level is half a byte"
    top = round(portrait.top_db, 1) if np.isfinite(portrait.top_db) else None
    counts = list(portrait.last_places)
    while counts and not counts[-1]:
        counts.pop()
    return [*portrait.down, *portrait.across, data_url("image/png", png(cells, 4)), top, counts]
