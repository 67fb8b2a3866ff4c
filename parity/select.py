"""Says which cases run, and with a `-k` expression, which of their records count."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace

from parity.cases import CASES, Case, signals
from parity.core.events import Expected
from parity.core.result import ParityError, Result


def select(names: Sequence[str] = ()) -> list[Case]:
    """The cases of these names, each once, or all small ones.

    Raises:
        ParityError: an unknown name.
    """
    known = {case.name: case for case in CASES}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ParityError(f"No case {', '.join(unknown)}. There are: {', '.join(known)}.")
    return [known[name] for name in dict.fromkeys(names)] or [
        case for case in CASES if not case.full
    ]


def obstacle(case: Case, live: bool) -> str:
    """Why a case cannot run here; empty if it can."""
    if case.stored == "live" and not live:
        return "it has no golden, so it needs --live"
    if case.signal == "music" and live and signals.music_file() is None:
        return f"it needs real music: set {signals.AUDIO} to a folder with FLAC files"
    return ""


def matches(expression: str, text: str) -> bool:
    """Whether `text` fits a `-k` expression: substrings with and, or, not, parentheses."""
    tokens = re.findall(r"[()]|[^\s()]+", expression)
    words = {"and", "or", "not", "(", ")"}
    booleans = [t if t in words else str(t.lower() in text.lower()) for t in tokens]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "(a)(b)" is a warning, and then a TypeError
            return bool(eval(" ".join(booleans), {"__builtins__": {}}))  # only True, False, words
    except (SyntaxError, TypeError) as error:
        raise ParityError(f"-k {expression!r} is no expression of names, and, or, not.") from error


def label(case: str, path: str, owner: str) -> str:
    """What a `-k` expression is matched against; the ids of `parity/tests/test_layers.py` as well.

    A parameter's path is its key in the state, and its class is "".
    """
    return f"{case}-{path or '(model)'}-{owner}"


def fits(name: str, expected: Expected, expression: str) -> bool:
    """Whether any call, step or parameter of a case fits."""
    labels = [label(name, event.path, event.owner) for event in expected.events]
    labels += [label(name, key, "") for key in expected.state]
    return any(matches(expression, text) for text in labels)


def only(result: Result, expression: str) -> Result:
    """The records that fit. None do if the port lacks what fits, which the coverage says."""
    if not expression:
        return result
    owners = ["" if r.kind == "parameter" else r.module_class for r in result.layers]
    kept = [
        record
        for record, owner in zip(result.layers, owners, strict=True)
        if matches(expression, label(result.case, record.path, owner))
    ]
    return replace(result, layers=tuple(kept))
