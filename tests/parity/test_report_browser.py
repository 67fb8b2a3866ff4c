"""The report in a headless Chromium: sort, filter, open, choose, play; no error, nothing cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from parity.core.kept.portrait import portrait_of
from parity.core.kept.sound import Sound
from parity.core.result import Part, Result
from parity.report import html
from parity.report.data import Table
from tests.parity.test_report import failing, record, result
from tests.support.browser import Page, chromium

pytestmark = pytest.mark.export

RATE = 8000
ALL = "[...document.querySelectorAll({!r})]"


def drawn(found: Result) -> Result:
    """The result with portraits of its first tensors, whose error is largest at channel 2."""
    expected = np.ones((1, 4, 300))
    noise = np.random.default_rng(0).normal(size=expected.shape) * [[[1], [1], [30], [1]]]
    actual = (expected + 1e-6 * noise).astype(np.float32)
    portraits = [
        portrait_of(actual, expected, "BCT>BTC", each.path, each.call, each.output, each.mode)
        for each in found.layers[:10]
    ]
    return replace(found, portraits=tuple(each for each in portraits if each))


def sound() -> Sound:
    """Two seconds of one stem."""
    time = np.arange(2 * RATE) / RATE
    expected = np.sin(2 * np.pi * 220 * time)[None, None]
    return Sound(RATE, ("vocals",), expected, expected + 1e-5 * (time > 1), borders=(RATE,))


def results() -> list[Result]:
    """One that fails, and some that pass: with stems, of other engines, with long names."""
    parts = (Part("encoder.4", 0, "Conv1d", "", 0.9, 3.0),)
    failed = replace(failing(), attribution=parts, fingerprint="A gain of 2: all of the error.")
    source = "demucs/hdemucs.py:118"
    names = [f"crosstransformer.layers.{i}.self_attn.out_proj.lora.{'deep' * 9}" for i in range(30)]
    deep = result(*(record(name, source=source) for name in names), case="deep")
    quiet = [
        result(record(noise_ratio=ratio), case=name, sound=sound())
        for name, ratio in (("loud", 3.5), ("quiet", 0.25))
    ]
    graph = result(record(), case="quiet", environment={"engine": "graph", "torch": "2.13.0"})
    return [drawn(failed), drawn(deep), *quiet, graph]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("report")
    wide = Table("Wide", "A table.", tuple("abcdefghijkl"), (("a cell of the table",) * 12,))
    html.write_html(folder / "report.html", results(), tables=[wide])
    with chromium(folder / "profile") as opened:
        opened.size(1440, 900)
        opened.open(f"file://{folder / 'report.html'}")
        yield opened


def texts(page: Page, selector: str) -> list[str]:
    code = (
        ALL.format(selector) + ".filter((e) => e.checkVisibility()).map((e) => e.innerText.trim())"
    )
    return list(page.evaluate(code))


def press(page: Page, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key)


def test_cases_are_sorted(page: Page) -> None:
    heading = (
        ALL.format("table.overview thead button") + ".find((e) => e.innerText === 'Noise ratio')"
    )
    column = "table.overview tbody td:nth-child(6)"
    page.evaluate(f"{heading}.click()")
    ascending = [float(text) for text in texts(page, column)]
    assert ascending == sorted(ascending)
    assert len(set(ascending)) == 3
    page.evaluate(f"{heading}.click()")
    assert [float(text) for text in texts(page, column)] == ascending[::-1]
    assert texts(page, "[aria-sort='descending']") == ["Noise ratio"]


def test_cases_are_filtered(page: Page) -> None:
    fill = (
        "(([find, text]) => { find.value = text;"
        " find.dispatchEvent(new Event('input', {bubbles: true})); })"
        "([document.querySelector('#case-filters input'), %r])"
    )
    page.evaluate(fill % "quiet graph")
    assert texts(page, "table.overview tbody a") == ["quiet"]
    assert texts(page, "#case-filters output") == ["1 of 5 cases"]
    page.evaluate(fill % "")
    page.evaluate("document.querySelector('#case-filters [type=checkbox]').click()")
    assert texts(page, "table.overview tbody a") == ["htdemucs/odd"]
    page.evaluate("document.querySelector('#case-filters [type=checkbox]').click()")
    assert len(texts(page, "table.overview tbody a")) == 5


def test_the_failure_is_open_and_its_layer_chosen(page: Page) -> None:
    assert texts(page, "details[open] > summary h3") == ["htdemucs/odd float32"]
    assert texts(page, "details[open] .layer h5 code") == ["encoder.4"]
    [detail] = texts(page, "details[open] .layer")
    for words in (
        "The first divergence. A gain of 2: all of the error.",
        "90 % of the final error come from call 0; 3 dB vanish if it is right.",
        "Error over channel (4) downwards, time (300) to the right",
        "Reference demucs/hdemucs.py:4",
        "Port demucs_tf/layers/conv.py:",
        "def call(",
    ):
        assert words in detail
    cells = (
        ALL.format("details[open] canvas") + ".map((e) => { const [w, h] = [e.width, e.height];"
        " const rows = e.getContext('2d').getImageData(0, 0, w, h).data;"
        " const sum = (r) => rows.slice(4 * w * r, 4 * w * (r + 1)).reduce((a, b) => a + b);"
        " return [e.dataset.largest, w, h, [0, 1, 2, 3].map(sum)]; })"
    )
    page.wait(ALL.format("details[open] canvas") + ".every((e) => e.dataset.largest)")
    pictures = page.evaluate(cells)
    assert [(largest, wide, high) for largest, wide, high, _ in pictures] == [("15", 96, 4)] * 2
    sums = pictures[0][3]
    assert min(sums) == sums[2], "the darkest row has the largest errors"
    bars = (
        ALL.format("details[open] .columns .bar") + ".map((e) => e.getBoundingClientRect().height)"
    )
    assert max(page.evaluate(bars)) > 100


def test_the_worst_error_bubbles_up_the_tree(page: Page) -> None:
    rows = (
        ALL.format("details[open] .node") + ".map((e) => [e.innerText.split('\\n')[0], e.ariaLevel,"
    )
    rows += " e.classList.contains('fail'), e.querySelector('.used').innerText])"
    found = {name: rest for name, *rest in page.evaluate(rows)}
    assert found["(model)"] == ["1", True, "6200 ×"]
    assert found["encoder"] == ["2", True, "6200 ×"]
    assert found["4"] == ["3", True, "6200 ×"]
    assert found["0"] == ["3", False, "24.7 %"]


def test_bars_lie_below_their_numbers(page: Page) -> None:
    """They underline, and do not fill: white on red nobody can read."""
    sizes = ALL.format("details[open] .used") + ".map((e) => getComputedStyle(e).backgroundSize)"
    found = page.evaluate(sizes)
    assert len(found) > 30
    assert all(size.endswith(" 3px") for size in found)


def test_the_tree_by_keyboard(page: Page) -> None:
    name = "document.activeElement.querySelector('.name').innerText"
    count = ALL.format("details[open] .node") + ".length"
    page.evaluate("document.querySelector('details[open] .node[aria-selected=true]').focus()")
    assert page.evaluate(name) == "4"
    press(page, "ArrowDown")
    assert page.evaluate(name) == "5"
    assert texts(page, "details[open] .layer h5 code") == ["encoder.5"]
    press(page, "ArrowLeft")
    assert page.evaluate(name) == "encoder"
    assert page.evaluate(count) == 14
    press(page, "ArrowLeft")
    assert page.evaluate(count) == 2, "it is closed"
    press(page, "ArrowRight")
    assert page.evaluate(count) == 14
    press(page, "ArrowRight")
    assert page.evaluate(name) == "0"
    press(page, "End")
    assert page.evaluate(name) == "11"
    press(page, "Home")
    assert page.evaluate(name) == "(model)"
    button = ALL.format("details[open] .buttons button")
    page.evaluate(f"{button}.find((e) => e.innerText === 'Collapse all').click()")
    assert page.evaluate(count) == 1
    page.evaluate(f"{button}.find((e) => e.innerText === 'Expand all').click()")
    assert page.evaluate(count) == 14
    page.evaluate(f"{button}.find((e) => e.innerText === 'Worst tensor').click()")
    assert page.evaluate(name) == "4"


def test_tensors_are_filtered_and_sorted(page: Page) -> None:
    page.evaluate(
        "(([find]) => { find.value = 'encoder.7';"
        " find.dispatchEvent(new Event('input', {bubbles: true})); })"
        "(document.querySelectorAll('details[open] .drawn input[type=search]'))"
    )
    assert texts(page, "details[open] .layers-scroll tbody th") == ["encoder.7", "encoder.7"]
    heading = ALL.format("details[open] .layers-scroll thead button")
    page.evaluate(f"{heading}.find((e) => e.innerText === 'Relative L2').click()")
    column = [
        float(t.replace("−", "-")) for t in texts(page, ".layers-scroll tbody td:nth-child(7)")
    ]
    assert column == [1.23e-7, 2e-3]


def test_the_charts_are_drawn(page: Page) -> None:
    for place in (".picture", "details[open] .chart"):
        page.wait(f"!!document.querySelector({place!r} + ' .main-svg .point')")


def test_stems_play(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details.case').forEach((e) => { e.open = true; })")
    page.wait(ALL.format("details .tree") + ".length === 5")
    assert page.evaluate(ALL.format(".levels .border") + ".length") == 2
    play = "(async () => { const one = document.querySelectorAll('audio')[%d]; one.muted = true;"
    play += " await one.play(); return one.duration; })()"
    for index in range(3):
        assert page.evaluate(play % index) == pytest.approx(2, abs=0.1)
    page.wait("document.querySelectorAll('audio')[2].currentTime > 0.1")


CUT = """[...document.querySelectorAll("body *")].filter((e) => {
  const scrolls = ".scroll, .tree, pre, .js-plotly-plot, #js-plotly-tester, .skip, .missing";
  if (!e.checkVisibility() || e.closest(scrolls)) return false;
  const { left, right } = e.getBoundingClientRect();
  return left < -1 || right > document.documentElement.clientWidth + 1;
}).map((e) => e.outerHTML.slice(0, 90))"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_is_cut_off(page: Page, width: int, dark: bool) -> None:
    page.size(width, 900, dark)
    page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    page.wait(ALL.format("details.case .tree") + ".length === 5")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    page.wait(f"{wide} <= 0")  # charts follow the window a little later
    assert page.evaluate(CUT) == []
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == ("rgb(20, 23, 27)" if dark else "rgb(251, 251, 250)")


def test_nothing_went_wrong(page: Page) -> None:
    """The last: of all that was done above."""
    wrong: list[dict[str, Any]] = [
        event
        for event in page.events
        if event["method"] == "Runtime.exceptionThrown"
        or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error")
        or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] == "error")
    ]
    assert wrong == []
    asked = page.requests()
    assert asked
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
