"""Finds places of the reference by line, name or quotation, and what of them is compared."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from parity.core.result import ParityError
from parity.core.subject import Tap
from parity.demucs import SUBJECT
from parity.where.source import (
    Block,
    Index,
    Statement,
    attributes,
    attributes_called,
    attributes_made,
    functions_called,
    normalized,
    squeezed,
)

# Around the models, where a whole track is compared, and of what.
TRACKS = {"demucs/apply.py": "apply_model", "demucs/api.py": "Separator"}
RUN = re.compile(  # of all that is in those files
    r"apply_model|tensor_chunk|_replace_dict|TensorChunk.*|(BagOfModels|Separator)(\.__init__)?"
    r"|Separator\.(update_parameter|separate_tensor)"
)
# Where the models' arithmetic is, and the layer of torch that one of theirs extends.
MODELS = ("demucs", "hdemucs", "htdemucs", "transformer", "spec", "wiener", "utils")
EXTENDED = "torch/nn/modules/transformer.py"
# What an answer says of what is compared, where that is not the place itself.
ALONE = "nothing is compared of this line alone"
NAMES, LEADS = "the layers that it names", f"{ALONE}; what it leads to"
CALLER = "the step that calls this function"
NEAR = ("", NAMES, LEADS)
SHORTEST = 4  # characters of a quotation that need not be a whole statement


@dataclass(frozen=True, order=True)
class Target:
    """What the harness compares: a step, a layer by its attribute, or all calls of a class.

    `owner` is the class; `name` its step or attribute, or for one layer of one model its path.
    `file` is where the class is, empty for one of torch.
    """

    kind: str  # "tap" | "module" | "class" | "path"
    owner: str
    name: str = ""
    file: str = ""


@dataclass(frozen=True)
class Place:
    """Some statements of a function of the reference; none: all of it, or of a class."""

    block: Block
    statements: tuple[Statement, ...] = ()

    @property
    def lines(self) -> range:
        """Its line numbers, from the first to the last."""
        if not self.statements:
            return self.block.numbers
        return range(self.statements[0].first, self.statements[-1].last + 1)


@lru_cache(maxsize=1)
def index() -> Index:
    """The reference's files, read once.

    Raises:
        ParityError: the reference is not installed.
    """
    root, torch = _folder("demucs"), _folder("torch")
    if root is None:
        raise ParityError('demucs is not installed: pip install "demucs-tf[reference]".')
    names = (*(f"demucs/{name}.py" for name in MODELS), *TRACKS)
    files = {name: root.parent / name for name in names}
    if torch and (torch.parent / EXTENDED).is_file():
        files[EXTENDED] = torch.parent / EXTENDED
    return Index(files)


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


# From a question to places


def at_lines(file: str, first: int, last: int) -> list[Place]:
    """The statements on some lines of a file; where nothing is computed, what is around them."""
    inside = [b for b in index().blocks if b.file == file and b.first <= last and first <= b.last]
    functions = [block for block in inside if not block.is_class] or inside
    if first == last and any(_is_comment(block, first) for block in functions):
        return at_lines(file, first + 1, last + 1)
    places = [
        Place(block, tuple(s for s in block.statements if s.first <= last and first <= s.last))
        for block in functions
    ]
    return [place for place in places if place.statements] or places[:1]


def _is_comment(block: Block, number: int) -> bool:
    """Whether a line is a comment on what comes next; the first in a function is on all of it."""
    behind = any(statement.first < number for statement in block.statements)
    return behind and block.line(number).startswith("#")


def by_name(name: str) -> list[Place]:
    """`Class`, `Class.method`, `function`, `method`; `Class.attribute`, `attribute`."""
    blocks = index().named(name)
    if blocks:
        return [Place(block) for block in blocks]
    owner, _, attribute = name.rpartition(".")
    return _statements(
        lambda block, statement: (
            block.node.name == "__init__"
            and owner in ("", block.owner)
            and attribute in attributes_made(statement.node)
            and bool(functions_called(statement.node, any_object=True))
        )
    )


def of_tap(owner: str, name: str) -> list[Place]:
    """The statements of the steps of that name, in all classes if `owner` is empty."""
    taps = [tap for tap in SUBJECT.taps if tap.name == name and owner in ("", tap.owner)]
    return _statements(
        lambda block, statement: any(
            statement.text in tap.statements and block in reached(tap.owner) for tap in taps
        )
    )


def quoted(text: str) -> list[Place]:
    """The statements that a piece of code is, or else is a part of."""
    wanted = normalized(text)
    exact = _statements(lambda block, statement: statement.text in wanted)
    most = max((len(place.statements) for place in exact), default=0)
    parts = [part for part in map(squeezed, [*wanted, text]) if len(part) >= SHORTEST]
    return [place for place in exact if len(place.statements) == most] or _statements(
        lambda block, statement: any(part in block.squeezed(statement) for part in parts)
    )


def _statements(wanted: Callable[[Block, Statement], bool]) -> list[Place]:
    places = (
        Place(block, tuple(s for s in block.statements if wanted(block, s)))
        for block in index().blocks
    )
    return [place for place in places if place.statements]


# From a place to what is compared


def candidates(place: Place) -> Iterator[tuple[set[Target], str]]:
    """What may be compared of a place, nearest first; a few words say what, if not the place."""
    block = place.block
    if block.file in TRACKS:
        if RUN.fullmatch(block.name):
            whole = Target("class", TRACKS[block.file], file=block.file)
            yield {whole}, "a whole track is compared, and not this alone"
        return
    owner = {Target("class", block.owner or block.name, file=block.file)}
    if block.is_class:
        yield owner, ""
        return
    if not place.statements:
        yield _of_function(block, block.owner), ""
    else:
        yield {t for s in place.statements for t in _of_statement(block, s, block.owner)}, ""
        named = {name for s in place.statements for name in attributes(s.node)}
        yield _layers(block, named), NAMES
        yield _led_to(place), LEADS
        if block.node.name == "__init__":
            yield owner, "no layer; its class"
        yield _of_function(block, block.owner), f"{ALONE}; its function"
    yield set(_around(block)), CALLER
    if block.owner:
        yield owner, "nothing is compared of this function alone; its class"


def conditions(place: Place) -> set[str]:
    """The tests of the branches that a place is in, and that something is of its class."""
    line = place.statements[-1].first if place.statements else 0
    return {f"isinstance(model, {place.block.owner or place.block.name})"} | {
        ast.unparse(node.test)
        for node in ast.walk(place.block.node)
        if isinstance(node, ast.If)
        and node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0)
    }


def _led_to(place: Place) -> set[Target]:
    """What is compared first of a branch, or of what becomes of a value, that begins here."""
    block, start = place.block, place.statements[-1]
    names, in_branch = _names(start.node, ast.Store), True
    for each in block.statements[block.statements.index(start) + 1 :]:
        in_branch = in_branch and each.node.col_offset > start.node.col_offset
        if in_branch or names & _names(each.node, ast.Load):
            found = _of_statement(block, each, block.owner)
            if found:
                return found
            names |= _names(each.node, ast.Store)
    return set()


def _names(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    names = (n for n in ast.walk(node) if isinstance(n, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, context)}


def _layers(block: Block, names: set[str]) -> set[Target]:
    """The layers that attributes of `self` may be."""
    wanted = names - {method.node.name for method in _methods(block)}
    return {
        Target("module", heir.name, name, heir.file) for name in wanted for heir in _heirs(block)
    }


def inside(place: Place) -> set[Target]:
    """The steps and layers of a class; of anything else, none."""
    if not place.block.is_class:
        return set()
    methods = [b for b in index().methods(place.block) if b.node.name != "__init__"]
    return {target for m in methods for target in _of_function(m, place.block.name)}


def _of_statement(
    block: Block, statement: Statement, owner: str, seen: tuple[Block, ...] = ()
) -> set[Target]:
    """A statement's step and the layers that it calls or makes; else those of what it calls.

    Of a function that several classes call, only the steps of `owner`, unless it is empty.
    """
    called = attributes_called(block, statement.node)
    if block.node.name == "__init__":
        called |= attributes_made(statement.node)
    found = _layers(block, called)
    steps = {_target(tap) for tap in _taps(block, statement)}
    if steps:
        mine = {step for step in steps if block.owner or owner in ("", step.owner)}
        return found | mine
    further = (each for each in _callees(block, statement) if each not in seen)
    return found.union(*(_of_function(each, owner, (*seen, block)) for each in further))


def _of_function(block: Block, owner: str, seen: tuple[Block, ...] = ()) -> set[Target]:
    return {t for s in block.statements for t in _of_statement(block, s, owner, seen)}


def _around(block: Block, seen: tuple[Block, ...] = ()) -> Iterator[Target]:
    """The steps whose statements call a function, directly or through others."""
    for caller in index().blocks:
        for statement in caller.statements:
            if caller not in seen and block in _callees(caller, statement):
                steps = [_target(tap) for tap in _taps(caller, statement)]
                yield from steps or _around(caller, (*seen, block))


def _target(tap: Tap) -> Target:
    return Target("tap", tap.owner, tap.name)


def _taps(block: Block, statement: Statement) -> list[Tap]:
    """The steps that a statement belongs to."""
    return [t for t in SUBJECT.taps if statement.text in t.statements and block in reached(t.owner)]


def _methods(block: Block) -> list[Block]:
    """The functions of the class that a method is in."""
    owner = [b for b in index().blocks if b.is_class and block.owner and b.file == block.file]
    return [m for b in owner if b.name == block.owner for m in index().methods(b)]


def _heirs(block: Block) -> Iterable[Block]:
    """The classes that have a method: its own, or where that is one of torch, its heirs."""
    for each in index().blocks:
        bases = index().with_bases(each) if each.is_class and each.file != EXTENDED else []
        if any(base.name == block.owner and base.file == block.file for base in bases):
            yield each


@cache
def _callees(block: Block, statement: Statement) -> tuple[Block, ...]:
    """The functions of the reference that a statement calls."""
    names = functions_called(statement.node)
    return tuple(
        each
        for each in [*_methods(block), *(b for b in index().blocks if not b.owner)]
        if each.node.name in names and not each.is_class
    )


@cache
def reached(owner: str) -> frozenset[Block]:
    """The methods of a class and the functions that they call, directly or through others."""
    waiting = [
        m for b in index().blocks if b.is_class and b.name == owner for m in index().methods(b)
    ]
    found: set[Block] = set()
    while waiting:
        block = waiting.pop()
        if block not in found:
            found.add(block)
            waiting += [each for s in block.statements for each in _callees(block, s)]
    return frozenset(found)
