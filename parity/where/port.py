"""Finds the port's code by what the reference calls it."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from parity.where.source import Block, Index, attributes_called, attributes_made, called_name

# Where the model's arithmetic is; nothing else of the port has steps or layers.
LINES = re.compile(r"(demucs/\w+\.py):(\d+)(?:-(\d+))?")
FOLDERS = ("models", "blocks", "layers", "inference")


@dataclass(frozen=True, order=True)
class Line:
    """A line of the port, and the function or class that it is in."""

    file: str
    number: int
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True)
class Site:
    """A call of `step`: its name, its place, and all names in it."""

    name: str
    block: Block
    number: int
    names: frozenset[str]


@lru_cache(maxsize=1)
def index() -> Index:
    """The port's files, read once."""
    spec = importlib.util.find_spec("demucs_tf")
    root = Path(spec.origin or "").parent if spec else Path()
    paths = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))
    return Index({path.relative_to(root.parent).as_posix(): path for path in paths})


@cache
def counterparts(file: str, name: str) -> tuple[Block, ...]:
    """Our classes and functions whose docstring names this one of the reference.

    `file` is empty for a class of torch. Without such a docstring, what bears the same name.
    """
    wanted = f"{file}::{name}" if file else f"torch.nn.{name}"
    exact = re.compile(rf"Reference:.*(?<![\w.]){re.escape(wanted)}(?![\w.]*\w)")
    found = [block for block in index().blocks if exact.search(block.doc)]
    found = found or [block for block in index().blocks if block.name == name]
    return tuple(sorted(found, key=lambda block: block.file.endswith("/config.py")))


def line_of(block: Block, number: int | None = None) -> Line:
    """A line of a block, that of its `def` or `class` unless another is given."""
    number = number or block.node.lineno
    return Line(block.file, number, block.name, block.line(number))


def steps(owner: Iterable[Block], name: str) -> list[Line]:
    """Where a step is run: in classes of ours or their bases, else wherever it is."""
    own = {(each.file, each.name) for block in owner for each in index().with_bases(block)}
    sites = [site for site in _sites() if site.name == name]
    near = [site for site in sites if (site.block.file, site.block.owner) in own]
    return list(dict.fromkeys(line_of(site.block, site.number) for site in near or sites))


def attribute(owner: Iterable[Block], name: str, made: bool = True) -> list[Line]:
    """Where classes of ours call a layer; and where they make it, if `made`, or none calls it."""
    methods = [method for block in owner for method in index().methods(block)]
    lines: dict[bool, dict[Line, None]] = {True: {}, False: {}}  # whether it is made there
    for method in methods:
        for statement in method.statements:
            makes = name in attributes_made(statement.node)
            if makes or name in attributes_called(method, statement.node):
                lines[makes][line_of(method, statement.first)] = None
    makers = lines[True] if made or not lines[False] else {}
    # `self.lstm = None` says less than the layer that it is otherwise.
    return [*sorted(makers, key=lambda line: line.text.endswith("= None")), *lines[False]]


def at_lines(file: str, lines: range) -> list[Block]:
    """Our functions whose docstring names lines of the reference: all of these first, then some."""
    found = [
        (not first <= lines[0] <= lines[-1] <= last, last - first, block)
        for block in index().blocks
        for name, first, last in quoted(block)
        if name == file and first <= lines[-1] and lines[0] <= last
    ]
    return [block for *_, block in sorted(found, key=lambda each: each[:2])]


def quoted(block: Block) -> list[tuple[str, int, int]]:
    """The lines of the reference that a function of ours says it does: file, first, last."""
    found = LINES.findall(block.doc.partition("Reference:")[2])
    return [(file, int(first), int(last or first)) for file, first, last in found]


@cache
def near(block: Block) -> frozenset[str]:
    """The names of a function of ours, of what it calls, and of what that calls."""
    found = {block}
    for _ in range(2):
        names = frozenset[str]().union(*(_names(each.node) for each in found))
        classes = {each.name for each in index().blocks if each.is_class and each.name in names}
        found |= {
            each
            for each in index().blocks
            if each.node.name in names or (each.node.name == "__init__" and each.owner in classes)
        }
    return frozenset(each.node.name for each in found)


def of_record(path: str, owner: str, source: str) -> Line | None:
    """The port's line of a compared call: a step's, else its class's.

    `owner` is the class that the record names; `source` the reference's file and line.
    """
    file = source.partition(":")[0]
    classes = counterparts("" if file.startswith("torch/") else file, owner)
    name = path.rpartition(":")[2] if ":" in path else ""
    found = steps(classes, name) if name else [line_of(block) for block in classes]
    return found[0] if found else None


@lru_cache(maxsize=1)
def _sites() -> tuple[Site, ...]:
    """Every `self.step("name", ...)` or `step("name", ...)` of the port."""
    return tuple(
        Site(str(getattr(node.args[0], "value", "")), block, node.lineno, _names(node))
        for block in index().blocks
        if not block.is_class and any("step(" in block.line(n) for n in block.numbers)
        for node in ast.walk(block.node)
        if isinstance(node, ast.Call) and called_name(node.func) == "step" and node.args
    )


def _names(node: ast.AST) -> frozenset[str]:
    names = (getattr(n, "id", "") or getattr(n, "attr", "") for n in ast.walk(node))
    return frozenset(names) - {""}


def steps_of(block: Block) -> set[Line]:
    """The steps that a function of ours runs, or that are run by it."""
    return {
        line_of(site.block, site.number)
        for site in _sites()
        if site.block is block or (block.node.name in site.names and block.node.name != "step")
    }


def originals(block: Block) -> list[str]:
    """The names in the reference of a class or function of ours, its heirs' if it has none."""
    named = re.findall(
        r"(?:demucs/\w+\.py::|torch\.nn\.)([\w.]+)", block.doc.partition("Reference:")[2]
    )
    if named or not block.is_class:
        return named
    heirs = (each for each in index().blocks if each.is_class and each is not block)
    return [n for h in heirs if block in index().with_bases(h) for n in originals(h)]
