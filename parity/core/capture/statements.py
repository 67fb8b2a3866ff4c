"""Where the code of the reference stands: files, lines, statements."""

from __future__ import annotations

import ast
import copy
import inspect
import linecache
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def environment(distributions: Iterable[str]) -> dict[str, Any]:
    """Versions and settings of the reference that results depend on."""
    return {
        **{name: version(name) for name in distributions},
        "torch": torch.__version__,
        "torch threads": torch.get_num_threads(),
    }


def source_of(module: torch.nn.Module) -> str:
    """Where the code of a module is."""
    code = inspect.unwrap(type(module).forward)
    return where(inspect.getsourcefile(code) or "", code.__code__.co_firstlineno)


@cache
def statement_at(filename: str, line: int) -> tuple[str, int]:
    """The innermost statement at a line of a file, as `ast.unparse` writes it."""
    inside = [
        node
        for node in _statements(filename)
        if node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    node = max(inside, key=lambda node: (node.lineno, -(node.end_lineno or node.lineno)))
    if isinstance(node, (ast.If, ast.For, ast.While, ast.With)):
        node = copy.copy(node)
        node.body = [ast.Pass()]
        if isinstance(node, (ast.If, ast.For, ast.While)):
            node.orelse = []
    return ast.unparse(node), node.lineno


@cache
def _statements(filename: str) -> tuple[ast.stmt, ...]:
    """All statements of a file, which is read once."""
    tree = ast.parse("".join(linecache.getlines(filename)))
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.stmt))


def where(filename: str, line: int) -> str:
    """File and line, the file as seen from the folder of installed packages."""
    parts = Path(filename).parts
    folders = [i + 1 for i, part in enumerate(parts) if part in ("site-packages", "dist-packages")]
    start = max(folders, default=-2)
    return f"{'/'.join(parts[start:])}:{line}"
