"""Reads Python files without running them: classes, functions, statements, and what they call."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CHANGING = ("append", "extend", "insert")  # what adds a layer to a list of them


@dataclass(frozen=True)
class Statement:
    """One statement as `ast.unparse` writes it; of a block (`if`, `for`, ...), its head alone."""

    node: ast.stmt
    first: int
    last: int
    text: str


@dataclass(frozen=True, eq=False)
class Block:
    """A function, or a class with what stands in it beside its methods. `owner` is its class."""

    file: str
    owner: str
    node: ast.FunctionDef | ast.ClassDef
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """`Class.method`, `function` or `Class`."""
        return ".".join(filter(None, (self.owner, self.node.name)))

    @property
    def is_class(self) -> bool:
        """Whether it is a class."""
        return isinstance(self.node, ast.ClassDef)

    @property
    def first(self) -> int:
        """Its first line, decorators counted."""
        return min(node.lineno for node in (self.node, *self.node.decorator_list))

    @property
    def last(self) -> int:
        """Its last line."""
        return self.node.end_lineno or self.node.lineno

    @property
    def numbers(self) -> range:
        """All its line numbers."""
        return range(self.first, self.last + 1)

    @property
    def doc(self) -> str:
        """Its docstring."""
        return ast.get_docstring(self.node) or ""

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """What it executes, in order; docstring and `def` lines are none."""
        return () if self.is_class else tuple(_statements(self.node.body))

    @cached_property
    def aliases(self) -> dict[str, set[str]]:
        """The attributes of `self` that a local name may stand for, as `for x in self.layers`."""
        found: dict[str, set[str]] = {}
        for node in ast.walk(self.node):
            if isinstance(node, (ast.For, ast.comprehension)):
                targets, value = [node.target], node.iter
            elif isinstance(node, ast.Assign):
                targets, value = node.targets, node.value
            else:
                continue
            for name in (n for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)):
                found.setdefault(name.id, set()).update(attributes(value))
        return found

    def squeezed(self, statement: Statement) -> str:
        """A statement as `squeezed` has it, as it is written and as `ast.unparse` writes it."""
        written = "\n".join(self.lines[statement.first - 1 : statement.last])
        return squeezed(f"{written}\n{statement.text}")

    def line(self, number: int) -> str:
        """The text of a line of its file."""
        return self.lines[number - 1].strip()


class Index:
    """The blocks of some files, by file and by name."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.lines = {
            name: tuple(path.read_text(encoding="utf-8").splitlines())
            for name, path in files.items()
        }
        self.trees = {name: ast.parse("\n".join(lines)) for name, lines in self.lines.items()}
        self.blocks = [
            block for name, tree in self.trees.items() for block in self._blocks(name, tree)
        ]

    def _blocks(self, file: str, tree: ast.Module) -> Iterator[Block]:
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                yield Block(file, "", node, self.lines[file])
            bodies = (node.body, node.name) if isinstance(node, ast.ClassDef) else ([node], "")
            for function in bodies[0]:
                if isinstance(function, ast.FunctionDef):
                    yield Block(file, bodies[1], function, self.lines[file])

    def named(self, name: str) -> list[Block]:
        """Blocks by name: `Class`, `Class.method`, `function`, or `method` alone."""
        exact = [block for block in self.blocks if block.name == name]
        return exact or [block for block in self.blocks if block.node.name == name]

    def with_bases(self, block: Block) -> list[Block]:
        """A class and those of its bases that are here, nearest first."""
        bases = [ast.unparse(base).rpartition(".")[2] for base in getattr(block.node, "bases", ())]
        above = [
            each
            for name in bases
            for each in self.blocks
            if each.is_class and each.name == name != block.name
        ]
        return [block, *(each for base in above for each in self.with_bases(base))]

    def methods(self, block: Block) -> list[Block]:
        """The functions of a class, its bases' last."""
        return [
            each
            for base in self.with_bases(block)
            for each in self.blocks
            if each.owner == base.name and each.file == base.file
        ]


def _statements(body: list[ast.stmt]) -> Iterator[Statement]:
    for node in body:
        inner = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
        inner += [handler.body for handler in getattr(node, "handlers", ())]
        if not isinstance(node, ast.FunctionDef) and not _is_text(node):
            yield _head(node) if any(inner) else _whole(node)
        for block in inner:
            yield from _statements(block)


def _whole(node: ast.stmt) -> Statement:
    return Statement(node, node.lineno, node.end_lineno or node.lineno, ast.unparse(node))


def _head(node: ast.stmt) -> Statement:
    """The head of a block; `node` is a copy that has no more than that."""
    body: list[ast.stmt] = [ast.Pass(lineno=node.lineno, col_offset=0)]
    kept = dict(ast.iter_fields(node)) | {"body": body}
    kept |= {name: [] for name in ("orelse", "finalbody") if hasattr(node, name)}
    head = type(node)(**kept, lineno=node.lineno, col_offset=node.col_offset)
    last = max(
        (n.end_lineno or 0 for n in ast.walk(head) if isinstance(n, ast.expr)),
        default=node.lineno,
    )
    return Statement(head, node.lineno, max(last, node.lineno), ast.unparse(head))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def attributes(node: ast.AST) -> set[str]:
    """The attributes of `self` in a piece of code."""
    return {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and _of_self(n)}


def _of_self(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def calls(node: ast.AST) -> Iterator[ast.expr]:
    """What is called in a piece of code."""
    return (n.func for n in ast.walk(node) if isinstance(n, ast.Call))


def attributes_called(block: Block, node: ast.AST) -> set[str]:
    """The attributes of `self` that a piece of a method calls, by a local name too."""
    found: set[str] = set()
    for called in calls(node):
        if _of_self(called):
            found.add(called.attr)  # type: ignore[attr-defined]
        elif isinstance(called, ast.Name):
            found |= block.aliases.get(called.id, set())
        elif isinstance(called, ast.Subscript) and _of_self(called.value):
            found.add(called.value.attr)  # type: ignore[attr-defined]
    return found


def attributes_made(node: ast.stmt) -> set[str]:
    """The attributes of `self` that a statement gives a value, or appends to."""
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    changed = [c.value for c in calls(node) if isinstance(c, ast.Attribute) and c.attr in CHANGING]
    return {name for each in (*targets, *changed) if each for name in attributes(each)}


def called_name(function: ast.expr) -> str:
    """What a call names, without what stands before a dot; empty if it has no name."""
    return str(getattr(function, "id", "") or getattr(function, "attr", ""))


def functions_called(node: ast.AST, any_object: bool = False) -> set[str]:
    """The names of called functions and of methods of `self`; or of any object, or module."""
    found = (c for c in calls(node) if any_object or isinstance(c, ast.Name) or _of_self(c))
    return set(map(called_name, found)) - {""}


def normalized(text: str) -> list[str]:
    """Pasted code as `ast.unparse` writes its statements; empty if it is no code.

    Half a statement (the head of an `if`, an `elif`) is completed first.
    """
    text = re.sub(r"^\s*elif\b", "if", text.strip("\n"))
    text = textwrap.dedent(text)
    for candidate in (text, text.strip(), f"{text.strip()}\n    pass"):
        try:
            tree = ast.parse(candidate)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return [statement.text for statement in _statements(tree.body)]
    return []


def squeezed(text: str) -> str:
    """Code without what a quotation may change: spaces, and which quotes a string has."""
    return re.sub(r"\s+", "", text).replace('"', "'")
