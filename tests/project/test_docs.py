"""The documents: links lead somewhere, and `docs/quirks.md` is complete and quotes correctly."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
QUIRKS = ROOT / "docs" / "quirks.md"
PLACE = r"(?:demucs|julius)/\w+\.py:[0-9][0-9,-]*"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_resolve(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_slug(heading) for heading in headings}, link


def test_every_quirk_in_the_code_is_in_the_table() -> None:
    table = QUIRKS.read_text(encoding="utf-8")
    for path in sorted((ROOT / "demucs_tf").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        places = re.findall(rf"\bQUIRK ({PLACE}): ", source)
        found = f"{path.name}: a QUIRK without `file.py:line: ` of the reference"
        assert len(places) == len(re.findall(r"\bQUIRK\b", source)), found
        for place in places:
            rows = [row for row in table.splitlines() if f"`{place}`" in row]
            file = path.relative_to(ROOT / "demucs_tf").as_posix()
            assert any(f"[{file}]" in row for row in rows), f"{place} of {file}"


def test_code_that_the_table_names_is_there() -> None:
    for name, link in re.findall(r"\[([\w/]+\.py)\]\(([^)]+)\)", QUIRKS.read_text("utf-8")):
        assert link == f"../demucs_tf/{name}"


@pytest.mark.live
def test_quotations_stand_where_the_table_says() -> None:
    quotations = re.findall(rf"`({PLACE})` `([^`]+)`", QUIRKS.read_text(encoding="utf-8"))
    assert len(quotations) > 25
    for place, words in quotations:
        assert words in _reference_lines(place), f"{place}: {words}"


def _reference_lines(place: str) -> str:
    """The lines of the installed reference that "demucs/apply.py:1-3,7" names."""
    name, _, ranges = place.partition(":")
    package, _, file = name.partition("/")
    spec = importlib.util.find_spec(package)  # finds, does not import
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / file
    lines = path.read_text(encoding="utf-8").splitlines()
    chosen = []
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        chosen += lines[int(first) - 1 : int(last or first)]
    return "\n".join(chosen)


def _slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")
