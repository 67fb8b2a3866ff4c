"""Texts from elsewhere, made fit for a terminal."""

from __future__ import annotations


def escaped(text: str, limit: int = 120) -> str:
    """The start of a text, in ASCII and with escapes for what is none."""
    quoted = ascii(text[: limit + 1])[1:-1]
    return quoted if len(quoted) <= limit else quoted[:limit] + "..."
