"""Remembers what `python -m parity run` measured last, so that `where` can say it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import platformdirs

from parity.cases import BY_NAME
from parity.core.files import json_file
from parity.core.files.atomic import write_whole
from parity.core.result import Result
from parity.run import golden_folder

Key = tuple[str, str]  # path and mode


class Error(NamedTuple):
    """The error of a call that came closest to its tolerance, and when it was measured."""

    rel_l2: float
    noise_ratio: float
    tolerance: float
    when: float  # seconds since 1970

    @property
    def share(self) -> float:
        """The part of the tolerance that it uses; 0 where equal bits are asked for."""
        return self.rel_l2 / self.tolerance if self.tolerance else 0.0


def folder() -> Path:
    """`.parity/` of the checkout, else a folder of the user's cache."""
    goldens = golden_folder()
    if goldens.is_dir():
        return goldens.resolve().parent / ".parity"
    return platformdirs.user_cache_path("demucs_tf") / "parity"


def keep(result: Result) -> None:
    """Remember a result of eager execution; what cannot be written is not missed."""
    if result.environment.get("engine", "eager") != "eager" or result.case not in BY_NAME:
        return
    path = folder() / f"{result.case}-{result.dtype}.json"
    errors = read(result.case, result.dtype) | worst(result, time.time())
    content = [[*key, *error] for key, error in errors.items()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json_file.text_of(content))
    except OSError:
        return


def read(case: str, dtype: str) -> dict[Key, Error]:
    """What was measured last of a case; nothing if it cannot be read."""
    try:
        content = json_file.read(folder() / f"{case}-{dtype}.json")
        return {(path, mode): Error(*map(_number, numbers)) for path, mode, *numbers in content}
    except json_file.DAMAGED:
        return {}


def _number(value: object) -> float:
    number = json_file.number(value)
    if number is None:
        raise TypeError("expected a number")
    return number


def of_results(results: Iterable[Result], when: float) -> dict[tuple[str, str], dict[Key, Error]]:
    """What some results measured, by case and dtype."""
    return {(result.case, result.dtype): worst(result, when) for result in results}


def worst(result: Result, when: float) -> dict[Key, Error]:
    """Of each path and mode the error that uses the largest share of its tolerance."""
    found: dict[Key, Error] = {}
    for record in result.layers:
        if record.kind == "parameter" or record.rel_l2 is None or record.noise_ratio is None:
            continue
        error = Error(record.rel_l2, record.noise_ratio, record.tolerance, when)
        key = record.path, record.mode
        if key not in found or error.share > found[key].share:
            found[key] = error
    return found
