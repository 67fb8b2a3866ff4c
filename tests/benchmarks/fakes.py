"""What stands in for pytest-benchmark's fixture, and for the records that it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Benchmark:
    """Runs as pytest-benchmark does, and keeps what it is told."""

    def __init__(self) -> None:
        self.extra_info: dict[str, Any] = {}
        self.timed = 0

    def pedantic(
        self, target: Callable[[], Any], setup: Callable[[], Any], rounds: int, iterations: int
    ) -> None:
        assert iterations == 1
        for _ in range(rounds):
            setup()
            target()
            self.timed += 1


def info(name: str, rounds: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """What a case leaves in a record, of the ways in its rounds."""
    ways = list(rounds[0])
    case = {"name": name, "ways": ways, "curve": changes.pop("curve", "")}
    return {
        "case": case,
        "against": ways[-1],
        "flop": None,
        "audio": None,
        "points": {},
        "left_out": {},
        "snr_db": dict.fromkeys(ways, 120.0),
        "rounds": rounds,
        **changes,
    }


def write_record(path: Path, *infos: dict[str, Any]) -> Path:
    """A file as pytest-benchmark writes it, as far as the report reads it."""
    machine = {"cpu": {"brand_raw": "A Processor"}, "system": "Linux", "processors": 2}
    machine |= {"threads": 2, "load": 0.1, "versions": {"tensorflow": "2.21.0"}}
    machine |= {"arguments": ["x.py", "--rootdir", "/somewhere", "--full", "-k", "a or b"]}
    record = {
        "datetime": "2026-11-27T00:00:00+00:00",
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "machine_info": machine,
        "benchmarks": [{"extra_info": each} for each in infos],
    }
    path.write_text(json.dumps(record))
    return path


def seconds(**ways: float) -> dict[str, dict[str, float]]:
    """One round."""
    return {way: {"seconds": value} for way, value in ways.items()}
