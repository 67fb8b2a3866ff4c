"""The report: one HTML page that opens from `file://` and asks the network for nothing.

What matters most (verdict, first divergence, coverage, environment) is static HTML. Charts and
layer tables are drawn from JSON in the page when a case is opened, so that a run of many cases
opens as quickly as a run of one. The same results give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demucs_tf.utils.atomic import write_whole
from parity.core.result import ParityError, Result
from parity.report import beside, pictures
from parity.report.case import page_case
from parity.report.data import Table, as_json, columns, distinct, number, overview, percent, worst
from parity.report.lines import excerpts, port_of
from parity.report.sound import heard

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = (
    "values.js", "table.js", "tree.js", "portrait.js", "layer.js", "chart.js", "overview.js",
    "page.js",
)  # fmt: skip
PLAYED = 2  # cases with stems to see and to hear, of more than a megabyte each


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
        page_case(
            index, result, shared, heard(result.sound) if index in played and result.sound else None
        )
        for index, result in enumerate(results)
    ]
    cases.sort(key=lambda case: case.result.verdict != "fail")
    portraits = {f"case-{i}": drawn for i, drawn in enumerate(pictures.of_errors(results))}
    ports = [[port_of(case.result, record) for record in case.result.layers] for case in cases]
    places = {record.source for result in results for record in result.layers}
    return environment.get_template("report.html.j2").render(
        cases=cases,
        data=[
            Markup(as_json(columns(case.result.layers, lines)))
            for case, lines in zip(cases, ports, strict=True)
        ],
        digests=[_digest(script) for script in scripts],
        dtypes=distinct(result.dtype for result in results),
        drawn=[Markup(as_json(case.drawn(portraits[case.anchor]))) for case in cases],
        environment=shared,
        excerpts=Markup(as_json(excerpts(places.union(*ports)))),
        failed=[case for case in cases if case.result.verdict == "fail"],
        overview=Markup(as_json(overview(results))),
        modes=distinct(record.mode for result in results for record in result.layers),
        scripts=[Markup(script) for script in scripts],
        subject=subject,
        tables=[*beside.engines(results), *tables],
        stylesheet=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        tensors=sum(len(result.layers) for result in results),
        worst_noise=worst(case.worst_noise for case in cases),
        worst_share=worst(case.worst_share for case in cases),
    )


def _played(results: Sequence[Result]) -> set[int]:
    """The results whose stems are shown: the first of few cases, as the page has to stay small."""
    first: dict[str, int] = {}
    for index, result in enumerate(results):
        if result.sound and (result.case not in first or result.dtype == "float32"):
            first[result.case] = index
    return set([*first.values()][:PLAYED])


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
