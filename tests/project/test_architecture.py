"""The house: imports run from higher floors to lower ones, without a circle; folders stay small."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# From the ground up. What stands on one floor does not import from beside it.
FLOORS = (
    ("demucs_tf.errors", "demucs_tf.utils"),
    ("demucs_tf.layers",),
    ("demucs_tf.blocks", "demucs_tf.audio"),
    ("demucs_tf.models",),
    ("demucs_tf.checkpoints.weights",),
    ("demucs_tf.checkpoints.sources", "demucs_tf.checkpoints.formats"),
    (
        "demucs_tf.checkpoints.assemble",
        "demucs_tf.checkpoints.save",
        "demucs_tf.checkpoints.from_torch",
    ),
    ("demucs_tf.checkpoints.locate",),
    ("demucs_tf.checkpoints", "demucs_tf.checkpoints.load", "demucs_tf.checkpoints.describe"),
    ("demucs_tf.export",),
    ("demucs_tf.runtimes",),
    ("demucs_tf.inference",),
    ("demucs_tf.training", "demucs_tf.tracks"),
    ("demucs_tf.cluster",),
    ("demucs_tf",),  # the names of the package
    ("demucs_tf.cli",),
    ("demucs_tf.__main__",),
    ("parity.core",),
    ("parity.cases",),
    ("parity.demucs", "parity.laws"),
    ("parity",),  # run, select
    ("parity.faults", "parity.where", "parity.exports", "parity.music"),
    ("parity.report", "parity.mutants"),
    ("parity.commands",),
    ("parity.__main__", "parity.tests"),
)
MOST_FILES = 12
# What the picture calls the folders.
ROOMS = {
    "cli": "demucs_tf.cli",
    "training": "demucs_tf.training",
    "cluster": "demucs_tf.cluster",
    "tracks": "demucs_tf.tracks",
    "inference": "demucs_tf.inference",
    "runtimes": "demucs_tf.runtimes",
    "export": "demucs_tf.export",
    "checkpoints": "demucs_tf.checkpoints",
    "sources": "demucs_tf.checkpoints.sources",
    "formats": "demucs_tf.checkpoints.formats",
    "models": "demucs_tf.models",
    "blocks": "demucs_tf.blocks",
    "layers": "demucs_tf.layers",
    "audio": "demucs_tf.audio",
    "commands": "parity.commands",
    "where": "parity.where",
    "exports": "parity.exports",
    "music": "parity.music",
    "laws": "parity.laws",
    "run": "parity",
    "demucs": "parity.demucs",
    "cases": "parity.cases",
    "faults": "parity.faults",
    "mutants": "parity.mutants",
    "report": "parity.report",
    "core": "parity.core",
}
NOT_DRAWN = {
    "utils": "demucs_tf.utils",
    "errors": "demucs_tf.errors",
    "names": "demucs_tf",
    "tests": "parity.tests",
    "main": "parity.__main__",
}


def modules() -> dict[str, Path]:
    files = [path for top in ("demucs_tf", "parity") for path in (ROOT / top).rglob("*.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    return {name.removesuffix(".__init__"): path for name, path in zip(names, files, strict=True)}


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of ours that a file imports anywhere in it, without those for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = [
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    ]
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module


def floor(name: str) -> tuple[int, str]:
    """The floor with the longest prefix of the name, and that prefix."""
    homes = [
        (len(home), height, home)
        for height, level in enumerate(FLOORS)
        for home in level
        if name == home or name.startswith(f"{home}.")
    ]
    return max(homes)[1:]


def arrows() -> dict[str, set[str]]:
    known = modules()
    return {name: set(imports(path, known)) - {name} for name, path in known.items()}


def test_imports_run_downwards() -> None:
    wrong = []
    for name, others in arrows().items():
        height, home = floor(name)
        for other in sorted(others):
            at, where = floor(other)
            if at > height or (at == height and where != home):
                wrong.append(f"{name} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_no_imports_run_in_a_circle() -> None:
    graph = arrows()
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            pytest.fail(" -> ".join((*trail[trail.index(name) :], name)))
        if name not in done:
            for other in sorted(graph[name]):
                walk(other, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        walk(name, ())
    assert done == set(graph)


def test_folders_stay_small() -> None:
    folders = {path.parent for path in modules().values()}
    counts = {
        str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in sorted(folders)
    }
    too_many = {folder: count for folder, count in counts.items() if count > MOST_FILES}
    assert len(counts) >= 15
    assert not too_many, "more than a dozen files"


def test_the_picture_has_the_arrows_of_the_code() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    [picture] = re.findall(r"```mermaid\n(.*?)```", text, re.S)
    assert set(re.findall(r"^ +(\w+)\[", picture, re.M)) == set(ROOMS)
    drawn = re.findall(r"^ +(\w+) --> (\w+)$", picture, re.M)
    pairs = {(room(name), room(other)) for name, others in arrows().items() for other in others}
    wanted = {(a, b) for a, b in pairs if a and b and a != b}
    assert sorted(drawn) == sorted(wanted)


def room(name: str) -> str | None:
    """What a module belongs to in the picture; None: the ground floor, the top, or a test."""
    homes = [
        (len(home), each)
        for each, home in {**ROOMS, **NOT_DRAWN}.items()
        if name == home or name.startswith(f"{home}.")
    ]
    found = max(homes)[1]
    return found if found in ROOMS else None
