"""Answers `python -m parity where`: from a line or a name to our code, its cases, its faults.

Nothing is run and neither TensorFlow nor PyTorch is imported: the reference's files, the port's and
the goldens' manifests are read.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
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
        title = " and ".join(sorted(map(_title, targets)))
        return [_answer(title, None, "", targets, _ranked(sorted(targets), made=True))]
    return [answer for block in port.index().named(name) for answer in _of_ours(block)]


def _title(target: Target) -> str:
    what = {"tap": f"step {target.name} of {target.owner}", "path": target.name}
    return what.get(target.kind, target.owner)


def _of_ours(block: Block) -> list[Answer]:
    """What the reference has for a class or function of ours."""
    places = [p for file, *lines in port.quoted(block) for p in reference.at_lines(file, *lines)]
    if places:
        return [_of_place(place) for place in places]
    originals = port.originals(block)
    if originals:
        return [a for name in originals for a in _named(name)]
    run = port.steps_of(block)
    steps = {
        Target("tap", tap.owner, tap.name)
        for tap in SUBJECT.taps
        if run.intersection(port.steps(_counterparts(tap.owner), tap.name))
    }
    own = [each for each in port.index().methods(block) if each.owner == block.name]
    if not steps and block.is_class and any(map(port.quoted, own)):
        return [answer for each in own if port.quoted(each) for answer in _of_ours(each)]
    lines = [port.line_of(block), *_ranked(sorted(steps), made=True)]
    note = "" if steps else "nothing that is compared is named in it"
    return [_answer(f"{block.name} of the port", None, note, steps, lines)]


def _of_place(place: Place) -> Answer:
    """What there is about a place: of what is compared, the nearest that a case hears."""
    targets: set[Target] = set()
    note = "nothing that is compared calls it"
    for candidate, why in reference.candidates(place):
        heard = {t for call in evidence.calls_of(candidate) for t in call.targets & candidate}
        if heard or (candidate and not evidence.calls()):
            targets, note = heard or candidate, why
            break
    title = f"{place.block.file}:{place.lines[0]}  {place.block.name}"
    return _answer(title, place, note, targets, _lines(place, note, targets))


def _lines(place: Place, note: str, targets: Iterable[Target]) -> list[port.Line]:
    """Our lines for a place, the nearest first: of the place, then of what is compared of it."""
    block, in_constructor = place.block, place.block.node.name == "__init__"
    functions = [port.line_of(each) for each in _functions(place)]
    compared = _ranked(sorted(targets), made=in_constructor)
    if place.statements and note in reference.NEAR:
        return compared or functions
    if place.statements and in_constructor:
        names = sorted({name for s in place.statements for name in attributes_made(s.node)})
        classes = _counterparts(block.owner, block.file)
        made = [line for name in names for line in port.attribute(classes, name)]
        if made:
            return [*made, *compared]
    beside = note in ("", reference.CALLER) or not functions
    return [*functions, *(compared if beside else ())]


def _functions(place: Place) -> list[Block]:
    """Our functions that do what a place does: by its lines, else by its function."""
    near = port.at_lines(place.block.file, place.lines)
    whole = [] if near and place.statements else _counterparts_of(place.block)
    return [*whole, *near]


def _ranked(targets: Iterable[Target], made: bool) -> list[port.Line]:
    """Our lines of some targets, those first that are of most of them."""
    return [
        line for line, _ in Counter(n for t in targets for n in lines_of(t, made)).most_common()
    ]


def _of_track(place: Place, calls: Iterable[evidence.Call]) -> list[evidence.Fault]:
    """The faults of a part of `apply_model` or the Separator: in our functions of it, or near."""
    track = reference.TRACKS[place.block.file]
    faults = evidence.faults_at([call for call in calls if call.event.owner == track])
    functions = _functions(place)
    if any(each.name == track for each in functions):
        return faults
    near = frozenset[str]().union(*map(port.near, functions))
    return [fault for fault in faults if fault.replaces in near]


def _answer(
    title: str,
    place: Place | None,
    note: str,
    targets: Iterable[Target],
    lines: Sequence[port.Line],
) -> Answer:
    targets = tuple(sorted(targets))
    whole = place if place and place.block.file in reference.TRACKS else None
    calls = evidence.calls_of(targets, whole or (None if note else place))
    parts = tuple(sorted(reference.inside(place))) if place else ()
    faults = evidence.faults_at(calls + evidence.calls_of(parts))
    if whole:
        faults = _of_track(whole, calls)
    unique = tuple(dict.fromkeys(lines))
    return Answer(title, place, note, targets, parts, unique, tuple(calls), tuple(faults))


def lines_of(target: Target, made: bool = True) -> list[port.Line]:
    """The port's lines of a target; of a layer, those that make it too, if `made`."""
    if target.kind == "path":
        events = [call.event for call in evidence.calls_of([target])]
        found = [port.of_record(e.path, e.owner, e.source) for e in events]
        return [line for line in dict.fromkeys(found) if line]
    classes = _counterparts(target.owner, target.file)
    if target.kind == "tap":
        return port.steps(classes, target.name)
    if target.kind == "module":
        return port.attribute(classes, target.name, made)
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
