"""Writes the tables of `docs/exporting.md`, each between its marks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.exports.files import BAGS, KINDS, MORE
from benchmarks.models import SUBJECTS
from parity.core.files.atomic import write_whole

Found = dict[str, dict[str, Any]]  # by model, by step
NAMES = {"tflite": "LiteRT", "onnx": "ONNX"}
COLUMNS = [f"{NAMES[form]} {weights}" for form, weights in KINDS]
SDR = 9.0  # dB, about what the published models reach on MUSDB18-HQ
RATE = 44100
MISSING = "not measured"


def write_tables(path: Path, found: Found) -> None:
    """Put the tables into the page; its text is kept.

    Raises:
        SystemExit: it lacks the marks of a table.
    """
    text = path.read_text(encoding="utf-8")
    for name, make in TABLES.items():
        start, end = f"<!-- measured: {name} -->", "<!-- end -->"
        before, found_start, rest = text.partition(start)
        _, found_end, after = rest.partition(end)
        if not found_start or not found_end:
            raise SystemExit(f"{path}: expected the marks {start} ... {end}, found none.")
        table = "\n".join(_markdown([*make(found)]))
        text = f"{before}{start}\n\n{table}\n\n{end}{after}"
    write_whole(path, text)


def _markdown(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield f"| {' | '.join(row)} |"
        if number == 0:
            yield "|" + "---|" * len(row)


def _pair(step: dict[str, Any] | None, key: str) -> str:
    if not step or key not in step:
        return MISSING
    return f"{step[key]['total']:.1f} / {step[key]['lowest']:.1f}"


def errors(found: Found) -> Iterator[list[str]]:
    """All stems / the worst, in dB, by model."""
    yield ["model", "TensorFlow", *COLUMNS]
    keys = ["errors tensorflow float32", *(f"errors {form} {w}" for form, w in KINDS)]
    for name in SUBJECTS:
        yield [name, *(_pair(found.get(name, {}).get(key), "followed") for key in keys)]


def narrow(found: Found) -> Iterator[list[str]]:
    """What narrow weights cost in SDR, by model."""
    yield ["model", "int8: SI-SDR", "int8: of 9 dB SDR", "float16: SI-SDR", "float16: of 9 dB SDR"]
    for name in SUBJECTS:
        row = [name]
        for weights in ("int8", "float16"):
            step = found.get(name, {}).get(f"errors tflite {weights}")
            row += [MISSING] * 2 if not step or "followed" not in step else _cost(step["followed"])
        yield row


def _cost(measured: dict[str, float]) -> list[str]:
    after = -10 * math.log10(10 ** (-SDR / 10) + 10 ** (-measured["lowest"] / 10))
    return [f"{measured['si_sdr']:.1f} dB", f"{SDR - after:.4f} dB"]


def last_chunk(found: Found) -> Iterator[list[str]]:
    """What one length costs where the reference has a shorter one, by model."""
    yield ["model", "LiteRT: whole track", "before the last chunk", "ONNX: whole track"]
    for name in SUBJECTS:
        steps = found.get(name, {})
        litert = steps.get("errors tflite float32")
        onnx = steps.get("errors onnx float32")
        yield [
            name,
            _pair(litert, "alone"),
            _pair(litert, "before_last_chunk"),
            _pair(onnx, "alone"),
        ]


def bags(found: Found) -> Iterator[list[str]]:
    """All stems / the worst, in dB, by bag."""
    yield ["members", "table", "file", "against the bag"]
    for name in SUBJECTS:
        for form, table, way in BAGS:
            step = found.get(name, {}).get(f"bag {form} {table} {way}")
            if name in MORE:
                kind = "one graph" if way == "fused" else "a folder"
                wrapped = {"dB": step} if step and "total" in step else None
                yield [name, table, f"{NAMES[form]}, {kind}", _pair(wrapped, "dB")]


def openvino(found: Found) -> Iterator[list[str]]:
    """All stems / the worst in dB, and seconds beside those of ONNX Runtime, by model."""
    yield ["model", "OpenVINO: whole track", "a segment, beside ONNX Runtime"]
    for name in MORE:
        step = found.get(name, {}).get("openvino", {})
        if "times" not in step:
            yield [name, MISSING, MISSING]
            continue
        times = step["times"]
        yield [name, _pair({"dB": step}, "dB"), _ratios(times["openvino"], times["onnxruntime"])]


def sizes(found: Found) -> Iterator[list[str]]:
    """Megabytes, seconds and gigabytes, by model."""
    yield ["model", *COLUMNS]
    for name in SUBJECTS:
        steps = (found.get(name, {}).get(f"export {form} {w}", {}) for form, w in KINDS)
        yield [name, *(_size(step) if "bytes" in step else MISSING for step in steps)]


def _size(step: dict[str, Any]) -> str:
    megabytes, gigabytes = step["bytes"] / 1e6, step["peak"] / 1e9
    seconds = f"{step['cpu']:.0f} s (cpu)" if "cpu" in step else f"{step['seconds']:.0f} s"
    return f"{megabytes:.1f} MB, {seconds}, {gigabytes:.1f} GB"


def speed(found: Found) -> Iterator[list[str]]:
    """Seconds of TensorFlow's graph, and how many times as long the files take, by model."""
    yield ["model", "a segment", "TensorFlow", *COLUMNS]
    for name in SUBJECTS:
        steps = [found.get(name, {}).get(f"speed {' '.join(kind)}", {}) for kind in KINDS]
        there = [step for step in steps if "file" in step]
        length = f"{there[0]['length'] / RATE:.1f} s" if there else MISSING
        base = [seconds for step in there for seconds in step["tensorflow"]]
        ratios = [_ratios(s["file"], s["tensorflow"]) if "file" in s else MISSING for s in steps]
        yield [name, length, f"{median(base):.2f} s" if base else MISSING, *ratios]


def _ratios(times: Sequence[float], base: Sequence[float]) -> str:
    """The median and the range of the ratios of turns."""
    ratios = [a / b for a, b in zip(times, base, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


TABLES: dict[str, Callable[[Found], Iterator[list[str]]]] = {
    "errors": errors,
    "narrow": narrow,
    "last chunk": last_chunk,
    "bags": bags,
    "OpenVINO": openvino,
    "sizes": sizes,
    "speed": speed,
}
