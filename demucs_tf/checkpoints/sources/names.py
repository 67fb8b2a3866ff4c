"""Names of models: which are sound, and what to say about one that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from demucs_tf.errors import ModelNotFoundError
from demucs_tf.utils.text import shown

_MAX_NAME = 100
_LISTED = 40


def is_plain_name(name: str) -> bool:
    """Whether this can name a file in a folder, and nothing outside of it."""
    return (
        1 <= len(name) <= _MAX_NAME
        and name.isprintable()
        and not name.startswith(".")
        and not set(name) & set("/\\:")
    )


def not_there(name: str, known: Collection[str], what: str, hint: str = "") -> ModelNotFoundError:
    """The error about a name that nothing goes by; the names most like it come first.

    Args:
        name: what was asked for.
        known: all names that there are.
        what: how the sentence starts that ends in `name`, e.g. "no published model".
        hint: a sentence more.
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    listed = close + [other for other in known if other not in close][: _LISTED - len(close)]
    there = ", ".join(shown(other) for other in listed) or "nothing"
    more = f" and {len(known) - len(listed)} more" if len(known) > len(listed) else ""
    guess = f" Did you mean {shown(close[0])}?" if close else ""
    return ModelNotFoundError(
        f"{what} '{shown(name)}'.{guess} There is: {there}{more}.{hint and ' '}{hint}"
    )
