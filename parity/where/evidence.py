"""What the harness knows of a step or layer: cases, tolerances, planted faults."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from parity.cases import BY_NAME, Case
from parity.cases.case import HTDEMUCS
from parity.core.events import Event
from parity.core.result import Mode
from parity.core.tolerances import tolerance
from parity.demucs import SUBJECT
from parity.run import SUITE
from parity.where.reference import TRACKS, Place, Target, conditions

MODES: tuple[Mode, ...] = ("isolated", "cumulative")
DTYPES = ("float64", "float32")
FAULTS = Path(__file__).parent.parent / "faults"
# Which cases of whole tracks take a branch of the reference; some none.
TAKES: dict[str, Callable[[Case], bool]] = {
    "isinstance(model, BagOfModels)": lambda case: "bag" in case.apply,
    "shifts": lambda case: case.apply.get("shifts", 1) > 0,
    "split": lambda case: case.apply.get("split", True),
    "segment is None": lambda case: "segment" not in case.apply,
    "isinstance(model, HTDemucs) and segment is not None": lambda case: (
        case.reference == HTDEMUCS and "segment" in case.apply
    ),
    **dict.fromkeys(
        (
            "callback is not None",
            "num_workers > 0 and device.type == 'cpu'",
            "progress",
            "sr is not None and sr != self.samplerate",
        ),
        lambda case: False,
    ),
}


@dataclass(frozen=True)
class Call:
    """A call that a case's golden has, without its numbers, and what it is a call of."""

    case: str
    event: Event
    targets: frozenset[Target]


@dataclass(frozen=True)
class Fault:
    """A planted fault as its row says it; `replaces` is a name, `line` where the row is."""

    name: str
    case: str
    place: str
    replaces: str
    line: str


@lru_cache(maxsize=1)
def calls() -> tuple[Call, ...]:
    """The calls of every case whose golden is here, from the manifests alone."""
    found: list[Call] = []
    for case in BY_NAME.values():
        path = SUITE.golden(case).path
        if case.stored == "live" or not path.is_file():
            continue
        events = [
            Event(**{**event, "inputs": [], "outputs": []})
            for event in json.loads(path.read_text(encoding="utf-8"))["events"]
        ]
        modules = {event.path: event for event in events if event.kind == "module"}
        found += [Call(case.name, event, _targets(event, modules)) for event in events]
    return tuple(found)


def _targets(event: Event, modules: Mapping[str, Event]) -> frozenset[Target]:
    path, _, step = event.path.partition(":")
    exact = Target("path", "", event.path)
    if event.kind == "tap":
        return frozenset({exact, Target("tap", event.owner, step)})
    found = {exact, Target("class", event.owner, file=_file(event))}
    if event.owner in TRACKS.values():
        found |= {
            Target("class", owner, file=file)
            for file, owner in TRACKS.items()
            if owner in (event.owner, "apply_model")
        }
    above = path
    while above:
        above = above.rpartition(".")[0]
        if above in modules:
            parent, below = modules[above], path[len(above) :].lstrip(".")
            found.add(Target("module", parent.owner, below.partition(".")[0], _file(parent)))
            break
    return frozenset(found)


def _file(event: Event) -> str:
    """The file of a class of the reference; empty for one of torch."""
    file = event.source.partition(":")[0]
    return file if file.startswith("demucs/") else ""


def calls_of(targets: Iterable[Target], place: Place | None = None) -> list[Call]:
    """The calls of `targets`; of a step that has statements in several places, of `place` alone."""
    wanted = frozenset(targets)
    found = [call for call in calls() if call.targets & wanted]
    if place is None:
        return found
    if place.block.file in TRACKS:
        taken = [TAKES[test] for test in conditions(place) if test in TAKES]
        return [call for call in found if all(takes(BY_NAME[call.case]) for takes in taken)]
    if not place.statements:
        return found
    here = {f"{place.block.file}:{line}" for line in place.lines}
    placed = {t for call in found if call.event.source in here for t in call.targets & wanted}
    return [c for c in found if c.event.source in here or not c.targets & placed]


def tolerances(found: Sequence[Call]) -> dict[tuple[str, str], tuple[float, float]]:
    """The least and the largest tolerance of some calls, by mode and dtype."""
    limits: dict[tuple[str, str], list[float]] = {}
    for call in found:
        modes = MODES[1:] if BY_NAME[call.case].apply else MODES
        for mode in modes:
            for dtype in DTYPES:
                limits.setdefault((mode, dtype), []).extend(
                    tolerance(SUBJECT, call.event, output, mode, dtype)
                    for output in range(len(call.event.cumulative_floors))
                )
    return {key: (min(values), max(values)) for key, values in limits.items()}


def faults_at(found: Sequence[Call]) -> list[Fault]:
    """The faults that have to be found at one of these calls."""
    heard: dict[str, set[str]] = {}
    for call in found:
        heard.setdefault(call.case, set()).add(f"{call.event.path} {call.event.owner}")
    return [
        fault
        for fault in faults()
        if any(re.search(fault.place, what) for what in heard.get(fault.case, ()))
    ]


@lru_cache(maxsize=1)
def faults() -> tuple[Fault, ...]:
    """All planted faults, read from their rows: to import them would import TensorFlow."""
    return tuple(fault for path in sorted(FAULTS.glob("*.py")) for fault in _faults(path))


def _faults(path: Path) -> Iterator[Fault]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: dict[str, ast.expr] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            names |= _constants(statement.targets[0], statement.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "").lower() == "fault":
            replaced = [keyword.value for keyword in node.keywords if keyword.arg == "replaces"]
            texts = [_text(each, names) for each in (*node.args[:3], *replaced)]
            if len(texts) == 4:
                name, case, place, replaces = texts
                line = f"parity/faults/{path.name}:{node.lineno}"
                yield Fault(name, case, place, replaces, line)


def _constants(target: ast.expr, value: ast.expr) -> dict[str, ast.expr]:
    """What `A = "a"` or `A, B = "a", "b"` gives names."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=False)
        return {name: each for pair in pairs for name, each in _constants(*pair).items()}
    return {target.id: value} if isinstance(target, ast.Name) else {}


def _text(node: ast.expr, names: Mapping[str, ast.expr]) -> str:
    """A text; of a tuple, its last."""
    node = names.get(getattr(node, "id", ""), node)
    return str(getattr(node.elts[-1] if isinstance(node, ast.Tuple) else node, "value", ""))
