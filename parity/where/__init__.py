"""Answers `python -m parity where`: from a line or a name to our code, its cases, its faults.

Nothing is run and neither TensorFlow nor PyTorch is imported: the reference's files, the port's and
the goldens' manifests are read.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from parity.demucs import SUBJECT
from parity.where import evidence, port, reference
from parity.where.reference import Place, Target
from parity.where.source import Block, attributes_made, normalized

LINES = re.compile(r"(?:.*[/\\])?(\w+\.py):(\d+)(?:-(\d+))?")
NAME = re.compile(r"[\w.]*(?::\w+)?")


@dataclass(frozen=True)
class Answer:
    """What there is about one place.

    `place` is that in the reference, None where it has no line of its own: then `title` says what
    it is. `note` says of what `targets` are, where not of the place itself. `parts` are the steps
    and layers of a class.
    """

    title: str
    place: Place | None
    note: str
    targets: tuple[Target, ...]
    parts: tuple[Target, ...]
    lines: tuple[port.Line, ...]
    calls: tuple[evidence.Call, ...]
    faults: tuple[evidence.Fault, ...]


def where(question: str) -> list[Answer]:
    """The places that a question is about: file and lines, a name, or a piece of code.

    Empty if there are none.

    Raises:
        ParityError: the reference is not installed, or a golden cannot be read.
    """
    question = question.strip()
    lines = LINES.fullmatch(question)
    if lines:
        first, last = int(lines[2]), int(lines[3] or lines[2])
        file = reference.EXTENDED if "torch" in question else f"demucs/{lines[1]}"
        return [_of_place(place) for place in reference.at_lines(file, first, last)]
    if NAME.fullmatch(question.removesuffix("()")):
        return _named(question.removesuffix("()"))
    return [_of_place(place) for place in reference.quoted(question)]


def nearest(question: str) -> list[str]:
    """What a question that has no answer may have meant."""
    if LINES.fullmatch(question):
        return [f"a line of a function in {', '.join(reference.index().lines)}"]
    names = [f"{t.owner}:{t.name}" for t in SUBJECT.taps]
    names += [b.name for index in (reference.index(), port.index()) for b in index.blocks]
    short = {re.split(r"[.:]", name)[-1]: name for name in names}
    if NAME.fullmatch(question):
        close = difflib.get_close_matches(question, [*names, *short], 5, 0.6)
        return list(dict.fromkeys(short.get(name, name) for name in close))
    texts = [s.text for b in reference.index().blocks for s in b.statements]
    return difflib.get_close_matches((normalized(question) or [question])[0], texts, 3, 0.6)


def _named(path: str) -> list[Answer]:
    parts = path.split(".")
    files = (*reference.index().lines, *port.index().lines)
    modules = {part for file in files for part in file.removesuffix(".py").split("/")}
    while len(parts) > 1 and parts[0] in modules:
        parts = parts[1:]
    name = ".".join(parts)
    owner, _, last = re.sub(":", ".", name).rpartition(".")
    places = reference.by_name(name) + reference.of_tap(owner, last)
    if places:
        return [_of_place(place) for place in dict.fromkeys(places)]
    called = {target for call in evidence.calls() for target in call.targets}
    targets = {
        target
        for target in called
        if (target.kind, target.name) == ("path", path)
        or (target.kind, target.owner) == ("class", name)
        or (target.kind == "tap" and target.name == last and owner in ("", target.owner))
    }
    if targets:
        return [_answer(" and ".join(sorted(map(_title, targets))), None, "", targets)]
    return [answer for block in port.index().named(name) for answer in _of_ours(block)]


def _title(target: Target) -> str:
    what = {"tap": f"step {target.name} of {target.owner}", "path": target.name}
    return what.get(target.kind, target.owner)


def _of_ours(block: Block) -> list[Answer]:
    """What the reference has for a class or function of ours."""
    originals = port.originals(block)
    if originals:
        return [a for name in originals for a in _named(name)]
    run = port.steps_of(block)
    steps = {
        Target("tap", tap.owner, tap.name)
        for tap in SUBJECT.taps
        if run.intersection(port.steps(_counterparts(tap.owner), tap.name))
    }
    title = f"{block.name} of the port"
    return [_answer(title, None, "", steps, [port.line_of(block)])] if steps else []


def _of_place(place: Place) -> Answer:
    block = place.block
    targets, note = reference.targets(place)
    heard = {target for call in evidence.calls_of(targets) for target in call.targets & targets}
    made = block.node.name == "__init__" and bool(place.statements)
    ours: list[port.Line] = []
    if made and not heard:
        targets, note = {Target("class", block.owner, file=block.file)}, "no layer; its class"
        names = {name for s in place.statements for name in attributes_made(s.node)}
        classes = _counterparts(block.owner, block.file)
        ours = [line for name in sorted(names) for line in port.attribute(classes, name)]
    elif heard:  # without attributes that are no layers
        targets = {target for target in targets if target.kind != "module" or target in heard}
    if not ours and (note or not place.statements or not any(map(lines_of, targets))):
        ours = [port.line_of(each) for each in _counterparts_of(block)]
    title = f"{block.file}:{place.lines[0]}  {block.name}"
    return _answer(title, place, note, targets, ours)


def _answer(
    title: str,
    place: Place | None,
    note: str,
    targets: Iterable[Target],
    ours: Iterable[port.Line] = (),
) -> Answer:
    targets = tuple(sorted(targets))
    calls = evidence.calls_of(targets, None if note else place)
    parts = tuple(sorted(reference.inside(place))) if place else ()
    lines = [*ours, *(line for target in targets for line in lines_of(target))]
    faults = evidence.faults_at(calls + evidence.calls_of(parts))
    return Answer(
        title, place, note, targets, parts, tuple(dict.fromkeys(lines)), tuple(calls), tuple(faults)
    )


def lines_of(target: Target) -> list[port.Line]:
    """The port's lines of a target."""
    if target.kind == "path":
        events = [call.event for call in evidence.calls_of([target])]
        found = [port.of_record(e.path, e.owner, e.source) for e in events]
        return [line for line in dict.fromkeys(found) if line]
    classes = _counterparts(target.owner, target.file)
    if target.kind == "tap":
        return port.steps(classes, target.name)
    if target.kind == "module":
        return port.attribute(classes, target.name)
    return [port.line_of(block) for block in classes]


def _counterparts(owner: str, file: str = "") -> tuple[Block, ...]:
    """Our classes for one of the reference."""
    known = (b.file for b in reference.index().blocks if b.is_class and b.name == owner)
    return port.counterparts(file or next(known, ""), owner)


def _counterparts_of(block: Block) -> list[Block]:
    """Our functions or classes for one of the reference; a method's by name, else its class."""
    found = list(port.counterparts(block.file, block.name))
    if found or not block.owner:
        return found
    classes = port.counterparts(block.file, block.owner)
    name = {"forward": "call"}.get(block.node.name, block.node.name)
    methods = [m for c in classes for m in port.index().methods(c) if m.node.name == name]
    return methods[:1] or list(classes)
