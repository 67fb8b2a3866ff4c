"""Imports go from higher floors to lower ones, and never in a circle."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

_ROOT = Path(__file__).parents[2]
# From the top; those of one floor do not know each other.
_FLOORS: tuple[tuple[str, ...], ...] = (
    ("demucs_tf.__main__",),
    ("demucs_tf.cli",),
    ("demucs_tf",),  # the public names, which are resolved when they are used
    ("demucs_tf.inference",),
    ("demucs_tf.checkpoints.load", "demucs_tf.checkpoints.describe"),
    ("demucs_tf.checkpoints.locate",),
    (
        "demucs_tf.checkpoints.assemble",
        "demucs_tf.checkpoints.save",
        "demucs_tf.checkpoints.from_torch",
    ),
    ("demucs_tf.checkpoints.formats", "demucs_tf.checkpoints.sources"),
    ("demucs_tf.checkpoints.weights",),
    ("demucs_tf.audio", "demucs_tf.models"),
    ("demucs_tf.blocks",),
    ("demucs_tf.layers",),
    ("demucs_tf.utils", "demucs_tf.errors"),
)


def _modules() -> dict[str, Path]:
    found = {}
    for path in (_ROOT / "demucs_tf").rglob("*.py"):
        parts = path.relative_to(_ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


_MODULES = _modules()


def _imports(module: str) -> Iterator[str]:
    """Our modules that a module imports anywhere but for the type checker."""
    tree = ast.parse(_MODULES[module].read_text("utf-8"))
    typed = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typed:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in _MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in _MODULES:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in _MODULES else node.module for name in names)


def _floor(module: str) -> tuple[int, str]:
    for number, parts in enumerate(_FLOORS):
        for part in parts:
            if module == part or (part != "demucs_tf" and module.startswith(f"{part}.")):
                return number, part
    return -1, ""  # an empty package


def test_imports_go_down() -> None:
    wrong = []
    for module in _MODULES:
        number, part = _floor(module)
        for other in _imports(module):
            below, beside = _floor(other)
            if below <= number and beside != part:
                wrong.append(f"{module} imports {other}")
    assert not wrong


def test_there_are_no_circles() -> None:
    order = TopologicalSorter({module: _imports(module) for module in _MODULES}).static_order()
    assert set(order) == set(_MODULES)


def test_no_folder_has_more_than_twelve_files() -> None:
    folders = Counter(path.parent for path in _MODULES.values() if path.stem != "__init__")
    assert not [str(folder) for folder, count in folders.items() if count > 12]
