"""The HTML report: complete, self-contained, safe with hostile texts, the same bytes twice."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import sys
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.offline
import pytest

from parity.core.result import Count, Coverage, ParityError, Part, Record, Result
from parity.report import data, html

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028<!--<script>'\"&"
VOID = {"meta", "link", "br", "img", "input"}


def record(path: str = "encoder.0.conv", **changes: Any) -> Record:
    plain = Record(
        path=path, call=0, output=0, kind="module", mode="isolated", dtype="float32",
        shape=(1, 48, 431), max_abs=2.5e-7, max_abs_index=(0, 3, 17), rel_l2=1.23456789e-7,
        max_ulp=3.0, snr_db=138.0, si_sdr_db=138.2, noise_ratio=1.5, tolerance=5e-7,
        verdict="pass", source="demucs/hdemucs.py:118", module_class="Conv1d",
    )  # fmt: skip
    return replace(plain, **changes)


def result(*layers: Record, missing: tuple[str, ...] = (), **changes: Any) -> Result:
    taps = Count(7 - len(missing), 7)
    coverage = Coverage(Count(5, 5), Count(6, 6), taps, Count(8, 8), Count(1, 1), missing)
    plain = Result("htdemucs/odd", "float32", "demucs.htdemucs.HTDemucs", layers, coverage,
                   {"torch": "2.13.0", "seed": 42})  # fmt: skip
    return replace(plain, **changes)


def failing() -> Result:
    """Isolated failure at encoder.4; a cumulative one earlier, which must not be named first."""
    layers = []
    for index in range(12):
        path = f"encoder.{index}"
        isolated = {"rel_l2": 3.1e-3, "verdict": "fail", "reason": "far off"} if index == 4 else {}
        cumulative = {"rel_l2": 2e-3, "verdict": "fail"} if index >= 3 else {}
        layers.append(record(path, source=f"demucs/hdemucs.py:{index}", **isolated))
        layers.append(record(path, mode="cumulative", gain=1.1, **cumulative))
    return result(*layers)


class Page(HTMLParser):
    """What a browser would make of the page: elements, texts without scripts, and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.raw: list[tuple[dict[str, str | None], str]] = []
        self.styles = ""
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.raw.append((dict(attrs), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            attrs, text = self.raw.pop()
            self.raw.append((attrs, text + data))
        elif "style" in self.open:
            self.styles += data
        else:
            self.text += f"{data} "

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def with_class(self, tag: str, name: str) -> list[dict[str, str | None]]:
        found = [attrs for each, attrs in self.elements if each == tag]
        return [attrs for attrs in found if name in (attrs.get("class") or "").split()]

    @property
    def programs(self) -> list[str]:
        return [text for attrs, text in self.raw if "type" not in attrs]

    @property
    def embedded(self) -> dict[str | None, dict[str, Any]]:
        """The JSON in the page, by its id."""

        def no_number(name: str) -> None:
            raise AssertionError(f"{name} is not JSON")

        found = [(a, text) for a, text in self.raw if a.get("type") == "application/json"]
        return {a["id"]: json.loads(text, parse_constant=no_number) for a, text in found}

    @property
    def data(self) -> list[dict[str, Any]]:
        """The data of the cases."""
        found = self.embedded.items()
        return [data for name, data in found if re.fullmatch(r"case-\d+-data", name or "")]

    def records(self, case: int = 0) -> list[dict[str, Any]]:
        """The embedded records, read as values.js reads them."""
        columns = self.data[case]
        return [
            {
                name: column[row] if isinstance(column, list) else column["values"][code]
                for name, column in columns.items()
                if name != "rows"
                for code in [None if isinstance(column, list) else column["codes"][row]]
            }
            for row in range(columns["rows"])
        ]


@pytest.fixture
def _no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five megabytes less to render and parse."""
    monkeypatch.setattr(plotly.offline, "get_plotlyjs", lambda: "/* plotly */")


def write(folder: Path, *results: Result) -> Page:
    html.write_html(folder / "report.html", results)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_page_with_the_real_bundle_loads_nothing(tmp_path: Path) -> None:
    page = write(tmp_path, result(record()), failing())
    loading = {"src", "href", "srcset", "data", "poster", "action", "background", "xlink:href"}
    for tag, attributes in page.elements:
        assert tag not in {"iframe", "object", "embed", "base"}
        for name, value in attributes.items():
            if name in loading:
                assert (value or "").startswith(("#", "data:")), (tag, name, value)
            assert not name.startswith("on"), (tag, name)
    assert "@import" not in page.styles
    assert "url(" not in page.styles
    bundle, own = page.programs
    assert "plotly.js v" in bundle[:500]
    for way_out in ("http:", "https:", "fetch(", "XMLHttpRequest", "import(", "WebSocket"):
        assert way_out not in own


def test_policy_allows_these_scripts_and_no_other_load(tmp_path: Path) -> None:
    page = write(tmp_path, result(record()))
    [policy] = [
        attributes["content"] or ""
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    directives = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert directives["default-src"] == "'none'"
    digests = [hashlib.sha256(text.encode("utf-8")).digest() for text in page.programs]
    allowed = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    assert directives["script-src"].split() == allowed
    assert directives["img-src"] == "data: blob:"


@pytest.mark.usefixtures("_no_bundle")
def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    hostile = record(
        HOSTILE, verdict="fail", rel_l2=1.0, reason=HOSTILE, source=HOSTILE, module_class=HOSTILE
    )
    page = write(
        tmp_path,
        result(hostile, case=HOSTILE, reference=HOSTILE, missing=(HOSTILE,),
               environment={HOSTILE: HOSTILE}),
    )  # fmt: skip
    plain = write(tmp_path, result(record(), missing=("x",)))
    count = len([tag for tag, _ in plain.elements if tag == "script"])
    assert [tag for tag, _ in page.elements].count("img") == 0
    assert [tag for tag, _ in page.elements].count("script") == count
    [embedded] = page.records()
    for field in ("path", "reason", "source", "module_class"):
        assert embedded[field] == HOSTILE
    assert page.text.count(HOSTILE) >= 8  # shown as it is, in every place


@pytest.mark.usefixtures("_no_bundle")
def test_every_record_is_in_the_data(tmp_path: Path) -> None:
    results = [failing(), result(record(), record("decoder.0:skip", kind="tap", call=1, output=2))]
    page = write(tmp_path, *results)
    assert len(page.data) == len(results)
    for case, expected in enumerate(results):
        embedded = page.records(case)
        assert len(embedded) == len(expected.layers)
        for got, wanted in zip(embedded, expected.layers, strict=True):
            for field in fields(Record):
                value = getattr(wanted, field.name)
                if isinstance(value, tuple):
                    value = ", ".join(map(str, value))
                if isinstance(value, float):
                    value = pytest.approx(value, rel=5e-4)
                assert got[field.name] == value, field.name


@pytest.mark.usefixtures("_no_bundle")
def test_the_table_shows_every_field(tmp_path: Path) -> None:
    page = write(tmp_path, result(record()))
    table = page.programs[-1].split("const COLUMNS = [")[1].split("\n];")[0]
    shown = re.findall(r'^  \["(\w+)"', table, flags=re.M)
    assert len(shown) == len(set(shown))
    # The index is the tooltip of max_abs.
    more = {"position", "share", "port"}
    expected = {field.name for field in fields(Record)} - {"max_abs_index"} | more
    assert set(shown) == expected


@pytest.mark.usefixtures("_no_bundle")
@pytest.mark.parametrize(
    ("results", "word", "claim"),
    [
        ([result(record())], "Pass", "The one case agrees with the reference"),
        ([result(record())] * 3, "Pass", "All 3 cases agree with the reference"),
        ([failing()], "Fail", "1 of 1 case does not agree"),
        ([result(record()), failing()], "Fail", "1 of 2 cases does not agree"),
        ([result(record(), missing=("tap x",))], "Fail", "coverage is incomplete in htdemucs/odd"),
        ([result()], "Fail", "No tensor was compared."),
        ([], "Fail", "Nothing was compared, and nothing compared proves nothing."),
    ],
)
def test_verdict_in_words(tmp_path: Path, results: list[Result], word: str, claim: str) -> None:
    page = write(tmp_path, *results)
    other = "Fail" if word == "Pass" else "Pass"
    assert f"{word.upper()}: demucs_tf parity report" in page.words
    assert f"demucs_tf parity report {word}" in page.words  # the heading follows the name
    assert f"demucs_tf parity report {other}" not in page.words
    assert claim in page.words
    assert page.with_class("header", word.lower())
    badges = len(page.with_class("span", "pass")), len(page.with_class("span", "fail"))
    passed = sum(each.verdict == "pass" for each in results)
    # One in the overview and one above the case, each.
    assert badges[1] == 2 * (len(results) - passed)
    assert badges[0] == 2 * passed


@pytest.mark.usefixtures("_no_bundle")
def test_first_divergence_with_its_surroundings(tmp_path: Path) -> None:
    page = write(tmp_path, failing())
    assert "First divergence: encoder.4 in htdemucs/odd, float32." in page.words
    assert page.words.count("demucs/hdemucs.py:4 ") == 2  # above the table and in it
    assert "far off" in page.words
    assert re.search(r"port: demucs_tf/layers/conv\.py:\d+ ", page.words)
    around = page.words.split("Errors around it")[1].split("Coverage")[0]
    assert re.findall(r"encoder\.\d+", around) == [f"encoder.{i}" for i in range(1, 8)]
    assert [a for _, a in page.elements if a.get("aria-current")] == [
        {"class": "here", "aria-current": "true"}
    ]
    place = page.embedded["case-0-drawn"]["divergence"]
    assert page.records()[place]["path"] == "encoder.4"
    assert page.records()[place]["mode"] == "isolated"


@pytest.mark.usefixtures("_no_bundle")
def test_what_a_failure_is_and_what_adds_to_the_final_error(tmp_path: Path) -> None:
    """Kinds of calls, the largest first; five of them."""
    parts = [Part(f"encoder.{i}:glu", 0, "HEncLayer", "", 0.2, 3.0) for i in range(3)]
    parts += [Part(f"x.{i}", 0, f"Class{i}", "", 0.05, math.inf) for i in range(8)]
    found = replace(
        failing(), attribution=tuple(parts), fingerprint=f"A gain of 2{HOSTILE}.", replay="a b.py"
    )
    page = write(tmp_path, found, result(record()))
    assert "A gain of 2" in page.words
    assert "Run the failing call alone: python a b.py" in page.words
    assert "60.0 % HEncLayer:glu, 3 calls encoder.0:glu call 0 3.0 dB" in page.words
    assert "5.0 % Class0 x.0 call 0 all" in page.words
    assert page.words.count("5.0 % Class") == 4
    assert page.words.count("What adds to the final error") == 1


def test_static_part_needs_no_script(tmp_path: Path) -> None:
    other = {"torch": "2.13.0", "seed": 43}
    page = write(
        tmp_path,
        result(record(), case="first"),
        result(record(), case="second", missing=("taps: encoder.4:skip, never called",),
               dtype="float64", environment=other),
    )  # fmt: skip
    targets = {attributes.get("id") for _, attributes in page.elements}
    links = [attributes["href"] or "" for tag, attributes in page.elements if tag == "a"]
    assert {"#case-0", "#case-1"} <= set(links)
    assert all(link[1:] in targets for link in links)
    assert "6/7" in page.words
    assert "26/27" in page.words
    assert "taps: encoder.4:skip, never called" in page.words
    assert page.words.count("2.13.0") == 1  # shared: said once
    assert "seed 42" in page.words
    assert "seed 43" in page.words
    assert "(float32 and float64, isolated)" in page.words


@pytest.mark.usefixtures("_no_bundle")
def test_metrics_that_json_has_no_number_for(tmp_path: Path) -> None:
    page = write(
        tmp_path,
        result(
            record(snr_db=math.inf, rel_l2=0.0),
            record("nan", rel_l2=math.nan, max_abs=math.inf, verdict="fail"),
            record("shape", rel_l2=None, max_abs=None, max_abs_index=None, noise_ratio=None,
                   verdict="fail", reason="shape (1,) for (2,)"),
            record("bitwise", tolerance=0.0, verdict="fail"),
            record("equal bits after rounding", tolerance=0.0),
        ),
    )  # fmt: skip
    first, nan, shape, bitwise, equal = page.records()
    assert (first["snr_db"], first["share"]) == ("Infinity", 0)
    assert (nan["rel_l2"], nan["max_abs"], nan["share"]) == ("NaN", "Infinity", "NaN")
    assert (shape["rel_l2"], shape["share"], shape["max_abs_index"]) == (None, None, "")
    assert (bitwise["share"], equal["share"]) == ("Infinity", 0)
    overview = page.words.split("Coverage No ")[0]
    assert "Worst share of tolerance NaN" in overview


def test_the_overview_has_the_worst_of_every_case_by_kind(tmp_path: Path) -> None:
    quiet = result(
        record(), record("encoder.1.conv", noise_ratio=2.5), record("w", kind="parameter"),
        record(":mono", kind="tap", module_class="HTDemucs", mode="cumulative", noise_ratio=0.5),
        record("relu", tolerance=0.0), record(":count", noise_ratio=None, rel_l2=None),
        case="quiet",
    )  # fmt: skip
    page = write(tmp_path, quiet, failing())
    found = page.embedded["overview-data"]
    points = found["points"]
    rows = [
        (found["cases"][case]["name"], found["kinds"][kind], mode, noise, failed)
        for case, kind, mode, noise, failed in zip(
            *(points[name] for name in ("case", "kind", "mode", "noise", "failed")), strict=True
        )
    ]
    assert rows == [
        ("quiet, float32", "Conv1d", "isolated", 2.5, False),
        ("quiet, float32", "HTDemucs steps", "cumulative", 0.5, False),
        ("htdemucs/odd, float32", "Conv1d", "isolated", 1.5, True),
        ("htdemucs/odd, float32", "Conv1d", "cumulative", 1.5, True),
    ]
    assert found["kinds"] == ["Conv1d", "HTDemucs steps"], "the noisiest first"
    assert points["limit"][0] == pytest.approx(5e-7 * 2.5 / 1.23456789e-7, rel=1e-3)
    [cases] = re.findall(r"All cases(.*?)</table>", (tmp_path / "report.html").read_text(), re.S)
    assert cases.index("htdemucs/odd") < cases.index("quiet"), "failed cases come first"
    opened = [attributes["id"] for attributes in page.with_class("details", "case")]
    assert opened == ["case-1", "case-0"], "here, too"
    assert [page.records(i)[0]["path"] for i in range(2)] == ["encoder.0", "encoder.0.conv"]
    assert found["cases"][0]["anchor"] == "case-0", "a click on a point of `quiet` opens it"


@pytest.mark.usefixtures("_no_bundle")
def test_the_port_of_another_module_is_not_looked_for(tmp_path: Path) -> None:
    page = write(tmp_path, replace(failing(), reference="transformers.EncodecModel"))
    assert "First divergence: encoder.4" in page.words
    assert "port: demucs_tf" not in page.words


def test_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.html", "second.html"):
        html.write_html(tmp_path / name, [result(record()), failing()])
    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "second.html").read_bytes()


@pytest.mark.parametrize("package", ["jinja2", "plotly.offline"])
def test_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ParityError, match=r"pip install demucs-tf\[report\]"):
        html.write_html(tmp_path / "report.html", [result(record())])
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("_no_bundle")
def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")

    def half(self: Path, data: str, encoding: str) -> int:
        with self.open("w", encoding=encoding) as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        with pytest.raises(OSError, match="No space left"):
            html.write_html(path, [result(record())])
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (0.0, "0"), (1.0, "1"), (-3.14159, "−3.14"), (12345.0, "12300"),
        (1.234e-7, "1.23e−7"), (1e300, "1.00e300"), (math.nan, "NaN"), (-math.inf, "−∞"),
    ],
)  # fmt: skip
def test_number(value: float | None, shown: str) -> None:
    assert data.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (0.0, "0 %"), (0.0004, "< 0.1 %"), (0.424, "42.4 %"), (1.256, "126 %"),
        (12.34, "12.3 ×"), (math.inf, "∞"), (math.nan, "NaN"),
    ],
)  # fmt: skip
def test_percent(value: float | None, shown: str) -> None:
    assert data.percent(value) == shown
