"""The report: one HTML page that opens from `file://` and asks the network for nothing.

What matters most (verdict, first divergence, coverage, environment) is static HTML. Charts and
layer tables are drawn from JSON in the page when a case is opened, so that a run of many cases
opens as quickly as a run of one. The same results give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demucs_tf.utils.atomic import write_whole
from parity.core.result import Coverage, Mode, ParityError, Record, Result
from parity.report.data import Table, as_json, columns, distinct, number, overview, percent, worst
from parity.report.sound import Heard, heard
from parity.report.text import shares
from parity.where import port

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("values.js", "table.js", "chart.js", "overview.js", "page.js")
PLAYED = 2  # cases with stems to see and to hear, of more than a megabyte each
AROUND = 3  # tensors shown on each side of a first divergence
COVERED = ("modules", "call_sites", "taps", "parameters", "buffers")


def write_html(
    path: Path,
    results: Sequence[Result],
    subject: str = "demucs_tf",
    tables: Sequence[Table] = (),
) -> None:
    """Write the report of `results` on the port `subject` to `path`, whole or not at all.

    `tables` stand below the cases.

    Raises:
        ParityError: Jinja2 or Plotly, the extra `report`, is not installed.
        OSError: the folder of `path` does not exist or cannot be written.
    """
    page = _page(results, subject, tables)
    with write_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _page(results: Sequence[Result], subject: str, tables: Sequence[Table]) -> str:
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
    environment.filters.update(number=number, share=percent)
    parts = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    scripts = [get_plotlyjs(), f'"use strict";\n(() => {{\n{parts}\n}})();\n']
    shared = _shared([result.environment for result in results])
    played = _played(results)
    cases = [
        _case(
            index, result, shared, heard(result.sound) if index in played and result.sound else None
        )
        for index, result in enumerate(results)
    ]
    cases.sort(key=lambda case: case.result.verdict != "fail")
    return environment.get_template("report.html.j2").render(
        cases=cases,
        data=[Markup(as_json(columns(case.result.layers))) for case in cases],
        digests=[_digest(script) for script in scripts],
        dtypes=distinct(result.dtype for result in results),
        environment=shared,
        failed=[case for case in cases if case.result.verdict == "fail"],
        overview=Markup(as_json(overview(results))),
        modes=distinct(record.mode for result in results for record in result.layers),
        scripts=[Markup(script) for script in scripts],
        subject=subject,
        tables=tables,
        stylesheet=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        tensors=sum(len(result.layers) for result in results),
        worst_noise=worst(case.worst_noise for case in cases),
        worst_share=worst(case.worst_share for case in cases),
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
    port: str
    around: list[tuple[_Tensor, bool]]
    coverage: list[tuple[str, int, int]]
    own: dict[str, Any]
    worst_noise: float | None
    worst_share: float | None
    heard: Heard | None

    @property
    def position(self) -> int | str:
        """Where the first divergence stands among the records."""
        places = enumerate(self.result.layers)
        return next((i for i, record in places if record is self.divergence), "")

    @property
    def shares(self) -> list[tuple[str, str, str, str]]:
        """What adds to the final error."""
        return shares(self.result)

    @property
    def name(self) -> str:
        return f"{self.result.case}, {self.result.dtype}"

    @property
    def compared(self) -> str:
        return f"{sum(c for _, c, _ in self.coverage):,}/{sum(t for _, _, t in self.coverage):,}"


def _played(results: Sequence[Result]) -> set[int]:
    """The results whose stems are shown: the first of few cases, as the page has to stay small."""
    first: dict[str, int] = {}
    for index, result in enumerate(results):
        if result.sound and (result.case not in first or result.dtype == "float32"):
            first[result.case] = index
    return set([*first.values()][:PLAYED])


def _case(index: int, result: Result, shared: dict[str, Any], sound: Heard | None) -> _Case:
    divergence = result.first_failure
    return _Case(
        anchor=f"case-{index}",
        result=result,
        divergence=divergence,
        port=_port(result, divergence),
        around=_around(result.layers, divergence),
        coverage=_counts(result.coverage),
        own={k: v for k, v in result.environment.items() if k not in shared},
        worst_noise=worst(record.noise_ratio for record in result.layers),
        worst_share=worst(record.share for record in result.layers),
        heard=sound,
    )


def _port(result: Result, record: Record | None) -> str:
    """The port's file and line of a record, where the port is that of Demucs."""
    if record is None or not result.reference.startswith("demucs."):
        return ""
    return str(port.of_record(record.path, record.module_class, record.source) or "")


def _counts(coverage: Coverage) -> list[tuple[str, int, int]]:
    counts = [(name, getattr(coverage, name)) for name in COVERED]
    return [(name.replace("_", " "), count.compared, count.total) for name, count in counts]


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


def _digest(script: str) -> str:
    """The script's hash, by which the page's content security policy lets it run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
