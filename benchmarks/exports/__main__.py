"""`python -m benchmarks.exports`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.exports.files import BAGS, KINDS, MORE
from benchmarks.models import SUBJECTS
from parity.core.files.atomic import write_whole

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = Path(tempfile.gettempdir()) / "demucs_tf-exports"
STEPS = ("heard", "export", "errors", "half", "bag", "openvino", "speed")


def main() -> None:
    """Measure, write the page, or run one step."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exports")
    commands = parser.add_subparsers(required=True, dest="command")
    measure = commands.add_parser("measure", help="measure what docs/exporting.json lacks")
    measure.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(SUBJECTS))
    measure.add_argument("--folder", type=Path, default=FOLDER, help="of the exported files")
    measure.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    measure.add_argument("--json", type=Path, default=DOCS / "exporting.json")
    measure.add_argument("--again", action="store_true", help="measure what is there as well")
    write = commands.add_parser("write", help="write the tables of docs/exporting.md")
    write.add_argument("--json", type=Path, default=DOCS / "exporting.json")
    step = commands.add_parser("step", help="one step, in this process")
    step.add_argument("arguments", type=json.loads)
    options = parser.parse_args()
    if options.command == "measure":
        _measure(options)
    elif options.command == "write":
        from benchmarks.exports.page import write_tables

        write_tables(DOCS / "exporting.md", json.loads(options.json.read_text()))
    else:
        _run(*options.arguments)


def _run(step: str, folder: str, *arguments: Any) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from benchmarks.exports import others, steps

    result = (steps.STEPS | others.STEPS)[step](Path(folder), *arguments)
    print(f"\n{json.dumps(result)}")


def _measure(options: argparse.Namespace) -> None:
    options.folder.mkdir(parents=True, exist_ok=True)
    path: Path = options.json
    for name in options.models or SUBJECTS:
        for step, *arguments in _steps(name):
            found = json.loads(path.read_text()) if path.exists() else {}
            key = " ".join([step, *map(str, arguments)])
            known = found.get(name, {}).get(key, {"failed": "not done"})
            if step not in options.steps or not ("failed" in known or options.again):
                continue
            result = _in_process([step, str(options.folder.resolve()), name, *arguments])
            print(f"{name}: {key}: {json.dumps(result)}", flush=True)
            found = json.loads(path.read_text()) if path.exists() else {}  # a step takes minutes
            found.setdefault(name, {})[key] = result
            write_whole(path, json.dumps(found, indent=1, sort_keys=True) + "\n")


def _steps(name: str) -> Iterator[tuple[Any, ...]]:
    yield ("heard",)
    for kind in KINDS:
        yield "export", *kind
        yield "errors", *kind
    yield "errors", "tensorflow", "float32"
    if name in MORE:
        for form in ("tflite", "onnx"):
            for weights in ("float32", "float16"):
                yield "export", form, weights, "half"
            yield "half", form
        for bag in BAGS:
            yield "bag", *bag
        yield ("openvino",)
    for kind in KINDS:
        yield "speed", *kind


def _in_process(arguments: list[Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.exports", "step", json.dumps(arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"failed": done.returncode}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
