"""Draws mutants from a port's source: one small change in one function each.

What is changed is what a porter may get wrong: an operator, a number, an argument, a step that is
left out. Constructors, messages, annotations and assertions are left alone, `strict=True` of `zip`
among them; nor are arguments swapped whose order means nothing, as in `min`.
"""

from __future__ import annotations

import ast
import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Literal

Class = Literal["operator", "constant", "parameter", "hyperparameter", "sequence"]

LEFT_ALONE = frozenset(
    {"__init__", "__get__", "get_config", "build", "build_config", "compute_output_shape"}
)
COMMUTATIVE = frozenset({"min", "max", "minimum", "maximum", "multiply"})
WIDTH = 60  # of a change as it is shown

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.MatMult: ast.Mult,
}  # fmt: skip
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Mutant:
    """One change.

    Attributes:
        module, function: where it is, as Python names them.
        line: of the change in the module's file.
        kind: the class of fault.
        before, after: the source of what is changed, shortened.
        number: of the change among those of its module.
        statement: the source of the statement that it is in, or of its head.
        lines: the first and the last line of that.
        body: the same of what runs where a condition holds; of any other statement, its own.
    """

    module: str
    function: str
    line: int
    kind: Class
    before: str
    after: str
    number: int = field(repr=False)
    statement: str = field(repr=False)
    lines: tuple[int, int] = field(repr=False)
    body: tuple[int, int] = field(repr=False)

    @property
    def change(self) -> str:
        """What is changed, whatever the line: as a table of equivalent mutants names it."""
        return f"{self.before} -> {self.after}"

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.function}: {self.change}"


@dataclass(frozen=True)
class _Site:
    function: str
    line: int
    kind: Class
    before: str
    after: str
    statement: str
    lines: tuple[int, int]
    body: tuple[int, int]
    apply: Callable[[], None]


def draw(modules: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """`count` mutants of modules (fewer if there are no more), the same ones for a seed."""
    every = [mutant for module in modules for mutant in of_module(module)]
    return sorted(random.Random(seed).sample(every, min(count, len(every))))


def of_module(module: str) -> list[Mutant]:
    """All mutants of a module's functions that can be reached to be changed."""
    sites = _sites(ast.parse(_source(module)))
    return [
        Mutant(
            module,
            site.function,
            site.line,
            site.kind,
            site.before,
            site.after,
            number,
            site.statement,
            site.lines,
            site.body,
        )
        for number, site in enumerate(sites)
        if live_function(module, site.function) is not None
    ]


def code_of(mutant: Mutant) -> CodeType:
    """The changed function's code. The whole module is compiled, for `super` and closures."""
    tree = ast.parse(_source(mutant.module))
    next(site for n, site in enumerate(_sites(tree)) if n == mutant.number).apply()
    path = str(import_module(mutant.module).__file__)
    code = compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
    for name in mutant.function.split("."):
        code = next(
            each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name
        )
    function = live_function(mutant.module, mutant.function)
    if function is None or code.co_freevars:
        return code
    # Without its only `super`, a method needs no `__class__`, but takes the place of one that does.
    return code.replace(co_freevars=function.__code__.co_freevars)


def live_function(module: str, name: str) -> FunctionType | None:
    """The function of that name as it runs, behind its decorators; None if it is hidden."""
    found: Any = import_module(module)
    for part in name.split("."):
        found = inspect.getattr_static(found, part, None)
    for behind in ("fget", "func", "python_function"):  # of a property, a cached one, tf.function
        found = getattr(found, behind, None) or found
    found = inspect.unwrap(getattr(found, "__func__", found))
    return found if isinstance(found, FunctionType) and found.__name__ == part else None


def _source(module: str) -> str:
    return Path(str(import_module(module).__file__)).read_text(encoding="utf-8")


def _sites(tree: ast.Module) -> Iterator[_Site]:
    """The places to change of all functions, in the order of the source."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield from _of_function(node, node.name)
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name not in LEFT_ALONE:
                    yield from _of_function(method, f"{node.name}.{method.name}")


def _of_function(function: ast.FunctionDef, name: str) -> Iterator[_Site]:
    for parent, key, index, node, statement in list(_walk(function, function)):
        for kind, new in _changes(parent, node):
            after = "left out" if isinstance(new, ast.Pass) else _shown(new)
            put = partial(_put, parent, key, index, new)
            line, head = getattr(node, "lineno", statement.lineno), _head(statement)
            lines = _lines(statement), _body(statement)
            yield _Site(name, line, kind, _shown(node), after, head, *lines, put)


def _lines(statement: ast.stmt) -> tuple[int, int]:
    """The first and the last line of a statement; of one with a body, of its head."""
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno or 0
    return statement.lineno, max(statement.lineno, last)


def _body(statement: ast.stmt) -> tuple[int, int]:
    """The first and the last line of what a condition guards, or of the statement."""
    if not isinstance(statement, ast.If):
        return _lines(statement)
    return statement.body[0].lineno, statement.body[-1].end_lineno or 0


def _head(statement: ast.stmt) -> str:
    text = ast.unparse(statement).splitlines()
    return text[0] if getattr(statement, "body", None) else " ".join(map(str.strip, text))


def _put(parent: ast.AST, key: str, index: int | None, new: ast.AST) -> None:
    """Put a node in a field of its parent, or in the list there."""
    if index is None:
        setattr(parent, key, new)
    else:
        getattr(parent, key)[index] = new


def _walk(
    root: ast.AST, statement: ast.stmt
) -> Iterator[tuple[ast.AST, str, int | None, ast.AST, ast.stmt]]:
    """(parent, field, index in it, node, its statement) of what is reckoned with in a function."""
    for key, value in ast.iter_fields(root):
        if key in ("decorator_list", "annotation", "returns", "args") and not isinstance(
            root, ast.Call
        ):
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or _says_something(node):
                continue
            inner = node if isinstance(node, ast.stmt) else statement
            yield root, key, index, node, inner
            yield from _walk(node, inner)


def _says_something(node: ast.AST) -> bool:
    """Errors, assertions, docstrings and texts."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.keyword):
        return node.arg == "strict"
    return isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr))


def _changes(parent: ast.AST, node: ast.AST) -> Iterator[tuple[Class, ast.AST]]:
    """What may stand in place of a node."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield "operator", ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        ops = [COMPARISONS[type(node.ops[0])](), *node.ops[1:]]
        yield "operator", ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "operator", ast.BoolOp(other, node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield "operator", node.operand
    elif isinstance(node, ast.IfExp):
        yield "operator", ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        kind: Class = "hyperparameter" if isinstance(parent, ast.keyword) else "constant"
        yield kind, ast.Constant(_other(node.value))
    elif isinstance(node, ast.Call) and _can_be_swapped(node):
        yield "parameter", ast.Call(node.func, [*node.args[1::-1], *node.args[2:]], node.keywords)
    elif _is_step(node):
        yield "sequence", ast.Pass()
    if isinstance(node, ast.Call):
        for index, keyword in enumerate(node.keywords):
            if keyword.arg and not _says_something(keyword):
                yield "parameter", ast.Call(node.func, node.args, _without(node.keywords, index))


def _can_be_swapped(call: ast.Call) -> bool:
    """Whether it has two arguments to begin with, whose order matters."""
    name, (first, second, *_) = ast.unparse(call.func).rpartition(".")[2], [*call.args, None, None]
    if first is None or second is None or name in COMMUTATIVE:
        return False
    return _is_value(first) and _is_value(second) and ast.dump(first) != ast.dump(second)


def _is_value(node: ast.AST) -> bool:
    """Whether an argument is reckoned, so that another may have been meant."""
    return isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.BinOp))


def _other(value: bool | int | float) -> bool | int | float:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value * 1.5 or 1.0


def _is_step(node: ast.AST) -> bool:
    """Whether a statement changes a name that is there already, so that it can be left out."""
    if isinstance(node, ast.AugAssign):
        return True
    if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
        return False
    name = node.targets[0].id
    return any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node.value))


def _without(keywords: list[ast.keyword], index: int) -> list[ast.keyword]:
    return [*keywords[:index], *keywords[index + 1 :]]


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
