"""Texts and values from elsewhere, made fit for a terminal."""

from __future__ import annotations

import reprlib


def printable(text: str, limit: int | None = None) -> str:
    """A text with its control characters, and what else no terminal shows, as escapes."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[:limit])


def shown(value: object, limit: int = 120) -> str:
    """A value that nobody vouches for, in a message: in ASCII, with escapes, and cut.

    Only flat things are spelled out: the text of a nested one can be of any length.
    """
    if isinstance(value, tuple) and all(type(item) is int for item in value[:40]):
        value = str(value[:40])
    elif not isinstance(value, str | int | float | bytes | BaseException | None):
        value = f"a {type(value).__name__}"
    text = ascii(str(value)[: limit + 1])[1:-1]
    return text if len(text) <= limit else text[:limit] + "..."


_BRIEF = reprlib.Repr()
_BRIEF.maxdict = _BRIEF.maxlist = _BRIEF.maxtuple = 100
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 120


def brief(value: object, limit: int = 80) -> str:
    """The start of a plain value's `repr`, with dots for what is long or many."""
    return printable(_BRIEF.repr(value), limit)


def reason_of(error: Exception) -> str:
    """What went wrong, without the path that an OSError repeats."""
    return getattr(error, "strerror", None) or str(error)
