"""Texts from elsewhere, made fit for a terminal."""

from __future__ import annotations

import reprlib


def escaped(text: str, limit: int = 120) -> str:
    """The start of a text, in ASCII and with escapes for what is none."""
    quoted = ascii(text[: limit + 1])[1:-1]
    return quoted if len(quoted) <= limit else quoted[:limit] + "..."


def printable(text: str) -> str:
    """A text with its control characters, and what else no terminal shows, as escapes."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


_BRIEF = reprlib.Repr()
_BRIEF.maxdict = _BRIEF.maxlist = _BRIEF.maxtuple = 100
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 120


def brief(value: object) -> str:
    """The `repr` of a value, with dots for what is long or many: it may be of any size."""
    return _BRIEF.repr(value)


def reason_of(error: Exception) -> str:
    """What went wrong, without the path that an OSError repeats."""
    return getattr(error, "strerror", None) or str(error)
