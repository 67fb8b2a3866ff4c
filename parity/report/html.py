"""The report: one HTML page that opens from `file://` and asks the network for nothing.

What matters most (verdict, first divergence, coverage, environment) is static HTML. Charts and
layer tables are drawn from JSON in the page when a case is opened, so that a run of many cases
opens as quickly as a run of one. The same results give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demucs_tf.utils.atomic import write_whole
from parity.core.result import Coverage, Mode, ParityError, Record, Result

TEMPLATES = Path(__file__).parent / "templates"
DIGITS = 4  # significant digits of a metric in the page's data; three of them are shown
AROUND = 3  # tensors shown on each side of a first divergence

# Columns of the page's data. Texts repeat (a path stands in two modes), so they are stored as
# codes into a list of distinct values; numbers are stored as they are.
TEXTS = ("path", "kind", "mode", "dtype", "verdict", "reason", "source", "module_class")
LISTS = ("shape", "max_abs_index")
COUNTS = ("call", "output")
METRICS = (
    "max_abs", "rel_l2", "max_ulp", "snr_db", "si_sdr_db", "noise_ratio", "tolerance", "gain",
)  # fmt: skip
COVERED = ("modules", "call_sites", "taps", "parameters", "buffers")


def write_html(path: Path, results: Sequence[Result]) -> None:
    """Write the report of `results` to `path`, whole or not at all.

    Raises:
        ParityError: Jinja2 or Plotly, the extra `report`, is not installed.
        OSError: the folder of `path` does not exist or cannot be written.
    """
    page = _page(results)
    with write_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _page(results: Sequence[Result]) -> str:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ParityError(
            f"The HTML report needs Jinja2 and Plotly, and {error.name or error} is missing: "
            "pip install demucs-tf[report]"
        ) from error

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, share=_percent, used=_share)
    scripts = [get_plotlyjs(), (TEMPLATES / "report.js").read_text(encoding="utf-8")]
    shared = _shared([result.environment for result in results])
    cases = [_case(index, result, shared) for index, result in enumerate(results)]
    return environment.get_template("report.html.j2").render(
        cases=cases,
        data=[Markup(_json(_columns(case.result.layers))) for case in cases],
        digests=[_digest(script) for script in scripts],
        dtypes=_distinct(result.dtype for result in results),
        environment=shared,
        failed=[case for case in cases if case.result.verdict == "fail"],
        modes=_distinct(record.mode for result in results for record in result.layers),
        scripts=[Markup(script) for script in scripts],
        stylesheet=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        tensors=sum(len(result.layers) for result in results),
        worst_noise=_worst(case.worst_noise for case in cases),
        worst_share=_worst(case.worst_share for case in cases),
    )


@dataclass(frozen=True)
class _Tensor:
    """One tensor of the reference with its record in each mode."""

    path: str
    call: int
    output: int
    records: dict[Mode, Record]

    @property
    def first(self) -> Record:
        return next(iter(self.records.values()))

    @property
    def failed(self) -> bool:
        return any(record.verdict == "fail" for record in self.records.values())


@dataclass(frozen=True)
class _Case:
    """One result and what the page says of it beyond its records."""

    anchor: str
    result: Result
    divergence: Record | None
    around: list[tuple[_Tensor, bool]]
    coverage: list[tuple[str, int, int]]
    own: dict[str, Any]
    worst_noise: float | None
    worst_share: float | None

    @property
    def position(self) -> int | str:
        """Where the first divergence stands among the records."""
        places = enumerate(self.result.layers)
        return next((i for i, record in places if record is self.divergence), "")

    @property
    def name(self) -> str:
        return f"{self.result.case}, {self.result.dtype}"

    @property
    def compared(self) -> str:
        return f"{sum(c for _, c, _ in self.coverage):,}/{sum(t for _, _, t in self.coverage):,}"


def _case(index: int, result: Result, shared: dict[str, Any]) -> _Case:
    divergence = _divergence(result)
    return _Case(
        anchor=f"case-{index}",
        result=result,
        divergence=divergence,
        around=_around(result.layers, divergence),
        coverage=_counts(result.coverage),
        own={k: v for k, v in result.environment.items() if k not in shared},
        worst_noise=_worst(record.noise_ratio for record in result.layers),
        worst_share=_worst(_share(record) for record in result.layers),
    )


def _counts(coverage: Coverage) -> list[tuple[str, int, int]]:
    counts = [(name, getattr(coverage, name)) for name in COVERED]
    return [(name.replace("_", " "), count.compared, count.total) for name, count in counts]


def _divergence(result: Result) -> Record | None:
    """The record that `Result.first_divergence` names: isolated counts first."""
    named = [record for record in result.failures if record.path == result.first_divergence]
    isolated = [record for record in named if record.mode == "isolated"]
    return next(iter(isolated or named), None)


def _around(layers: Sequence[Record], centre: Record | None) -> list[tuple[_Tensor, bool]]:
    """The tensors around `centre` in execution order, each with whether it is the one."""
    if centre is None:
        return []
    tensors: dict[tuple[str, str, int, int], _Tensor] = {}
    for record in layers:
        key = (record.kind, record.path, record.call, record.output)
        tensor = tensors.setdefault(key, _Tensor(record.path, record.call, record.output, {}))
        tensor.records[record.mode] = record
    # Parameters that passed say nothing of how an error travels.
    drawn = [t for t in tensors.values() if t.failed or t.first.kind != "parameter"]
    here = next(i for i, t in enumerate(drawn) if centre in t.records.values())
    window = drawn[max(0, here - AROUND) : here + AROUND + 1]
    return [(tensor, tensor is drawn[here]) for tensor in window]


def _shared(environments: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is the same in every environment; the rest is shown with its case."""
    if not environments:
        return {}
    first, *others = environments
    return {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in others)
    }


def _share(record: Record) -> float | None:
    """The share of the tolerance used; 1 is all of it. None where nothing was measured.

    A tolerance of 0 asks for equal bits in the case's dtype; an error that is left then is that
    of rounding the reference to it, and uses nothing.
    """
    if record.rel_l2 is None:
        return None
    if record.tolerance == 0:
        return 0.0 if record.verdict == "pass" else math.inf
    return record.rel_l2 / record.tolerance


def _worst(values: Iterable[float | None]) -> float | None:
    """The largest value, NaN if there is one, None if there are none."""
    known = [value for value in values if value is not None]
    if any(math.isnan(value) for value in known):
        return math.nan
    return max(known, default=None)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _columns(layers: Sequence[Record]) -> dict[str, Any]:
    """Records as columns; the page's script reads them in `decode`."""
    columns: dict[str, Any] = {"rows": len(layers)}
    for name in TEXTS:
        columns[name] = _coded([getattr(record, name) for record in layers])
    for name in LISTS:
        values = [getattr(record, name) for record in layers]
        columns[name] = _coded(["" if v is None else ", ".join(map(str, v)) for v in values])
    for name in COUNTS:
        columns[name] = [getattr(record, name) for record in layers]
    for name in METRICS:
        columns[name] = [_plain(getattr(record, name)) for record in layers]
    columns["share"] = [_plain(_share(record)) for record in layers]
    return columns


def _coded(values: list[str]) -> dict[str, list[Any]]:
    codes = {value: code for code, value in enumerate(dict.fromkeys(values))}
    return {"values": list(codes), "codes": [codes[value] for value in values]}


def _plain(value: float | None) -> float | int | str | None:
    """A metric as JSON has it: rounded, and a text where JSON has no number."""
    if value is None:
        return None
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e6 else rounded


def _json(content: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever its texts hold."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _digest(script: str) -> str:
    """The script's hash, by which the page's content security policy lets it run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()


def _number(value: float | None) -> str:
    """A metric as shown; `number` in report.js does the same."""
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        rounded = float(f"{value:.3g}")
        text = f"{rounded:.5f}".rstrip("0").rstrip(".")
    else:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")


def _percent(value: float | None) -> str:
    """A share of the tolerance as shown; `percent` in report.js does the same."""
    if value is None or not math.isfinite(value):
        return _number(value)
    if value >= 10:
        return f"{_number(value)} ×"
    if 0 < value < 0.001:
        return "< 0.1 %"
    return f"{_number(100 * value)} %"
