"""What a comparison yields: one `Record` a tensor, one `Result` a case."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from parity.core.configuration import Argument
from parity.core.files import json_file
from parity.core.kept.portrait import Portrait, of_plain
from parity.core.kept.sound import Sound

SCHEMA = 1

Kind = Literal["module", "tap", "parameter", "output", "gradient"]
Mode = Literal["isolated", "cumulative"]
Verdict = Literal["pass", "fail", "not decided"]  # the last of a record alone, not of a result


class ParityError(Exception):
    """The harness cannot do what was asked: a golden is damaged, a step has no tap, ..."""


@dataclass(frozen=True)
class Record:
    """One compared tensor. Metrics are None where a shape or a dtype already differs.

    `path` is the reference's module path; a tap adds `:name`. `tolerance` bounds `rel_l2`;
    0.0 asks for bitwise equality. `source` is the reference's file and line. A gradient is one by a
    weight, whose key is the path, or by the input `output` of a call. "not decided" is what neither
    passes nor fails, as nothing but rounding was expected, or nothing at all: `reason` says it.
    """

    path: str
    call: int
    output: int
    kind: Kind
    mode: Mode
    dtype: str
    shape: tuple[int, ...]
    max_abs: float | None
    max_abs_index: tuple[int, ...] | None
    rel_l2: float | None
    max_ulp: float | None
    snr_db: float | None
    si_sdr_db: float | None
    noise_ratio: float | None
    tolerance: float
    verdict: Verdict
    reason: str = ""
    source: str = ""
    module_class: str = ""
    gain: float | None = None

    @property
    def step_or_class(self) -> str:
        """The class, and of a step its name: "HEncLayer:glu"."""
        return kind_of(self.path, self.module_class or self.kind)

    @property
    def share(self) -> float | None:
        """The share of the tolerance used; 1 is all of it. None where nothing was measured.

        A tolerance of 0 asks for equal bits in the case's dtype; an error that is left then is that
        of rounding the reference to it, and uses nothing.
        """
        if self.rel_l2 is None:
            return None
        if self.tolerance == 0:
            return 0.0 if self.verdict == "pass" else math.inf
        return self.rel_l2 / self.tolerance


TEXTS = ("path", "kind", "mode", "dtype", "verdict", "reason", "source", "module_class")
METRICS = (
    "max_abs", "rel_l2", "max_ulp", "snr_db", "si_sdr_db", "noise_ratio", "tolerance", "gain",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """What one call adds to the final error, given that all before it is right.

    `path`, `call`, `module_class` and `source` are those of the call's `Record`; of several calls
    that were not told apart, which `calls` counts, those of the last. `share` is the part of the
    final error's energy, negative where the call makes up for a later one; `vanished_db` by how
    many dB the final error falls when the call is right, infinite if nothing is left.
    """

    path: str
    call: int
    module_class: str
    source: str
    share: float
    vanished_db: float
    calls: int = 1

    @property
    def step_or_class(self) -> str:
        """As a record has it."""
        return kind_of(self.path, self.module_class)


def kind_of(path: str, module_class: str) -> str:
    """The class of a call, and of a step its name: "HEncLayer:glu"."""
    _, colon, step = path.rpartition(":")
    return f"{module_class}{colon}{step if colon else ''}"


@dataclass(frozen=True)
class Count:
    """`compared` of `total`."""

    compared: int
    total: int

    def __str__(self) -> str:
        return f"{self.compared}/{self.total}"


@dataclass(frozen=True)
class Coverage:
    """How much of the reference was compared. `missing` names what was not, with the reason."""

    modules: Count
    call_sites: Count
    taps: Count
    parameters: Count
    buffers: Count
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        counts = (self.modules, self.call_sites, self.taps, self.parameters, self.buffers)
        return not self.missing and all(c.compared == c.total for c in counts)

    def __str__(self) -> str:
        return (
            f"modules {self.modules}, calls {self.call_sites}, taps {self.taps}, "
            f"parameters {self.parameters}, buffers {self.buffers}"
        )


@dataclass(frozen=True)
class Result:
    """All comparisons of one case at one dtype.

    `layers` is in the reference's execution order, the isolated and the cumulative record of a
    tensor next to each other. `environment` holds versions, threads, seed and hashes.
    `fingerprint` says in one sentence what the first failure is of what was expected;
    `attribution` has what calls add to the final error, if that was asked for, largest first;
    `configuration` has the arguments that both sides were made of, which come before any number;
    `replay` is the script of its replay pack, if there is one. `sound` has the stems of both sides
    where they can be heard; no file keeps it. `portraits` show errors, of the worst tensors or all.
    """

    case: str
    dtype: str
    reference: str
    layers: tuple[Record, ...]
    coverage: Coverage
    environment: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    attribution: tuple[Part, ...] = ()
    replay: str = ""
    configuration: tuple[Argument, ...] = ()
    sound: Sound | None = field(default=None, repr=False, compare=False)
    portraits: tuple[Portrait, ...] = field(default=(), repr=False, compare=False)

    @property
    def differences(self) -> list[Argument]:
        """The arguments that are not the same on both sides."""
        return [argument for argument in self.configuration if argument.differs]

    @property
    def failures(self) -> list[Record]:
        """The records that failed, in execution order."""
        return [record for record in self.layers if record.verdict == "fail"]

    @property
    def undecided(self) -> list[Record]:
        """The records that decide nothing."""
        return [record for record in self.layers if record.verdict == "not decided"]

    @property
    def decided(self) -> Count:
        """How many of the comparisons say something; the rest counts as not covered."""
        return Count(len(self.layers) - len(self.undecided), len(self.layers))

    @property
    def verdict(self) -> Verdict:
        """ "pass" when arguments are equal, something was compared, nothing failed, all covered."""
        ok = len(self.undecided) < len(self.layers) and not self.failures
        ok = ok and self.coverage.complete and not self.differences
        return "pass" if ok else "fail"

    @property
    def first_failure(self) -> Record | None:
        """The first record that failed, an isolated one if there is one.

        A cumulative failure downstream of a fault says only that the fault exists; an isolated
        one says where.
        """
        return min(self.failures, key=lambda record: record.mode != "isolated", default=None)

    @property
    def first_divergence(self) -> str | None:
        """The path at which the error first exceeds its tolerance: that of `first_failure`."""
        return None if self.first_failure is None else self.first_failure.path

    @property
    def noisiest(self) -> Record | None:
        """The record with the largest noise ratio; None if none has one."""
        return max(
            (r for r in self.layers if r.noise_ratio is not None), key=_noise_ratio, default=None
        )


def badness(record: Record) -> tuple[bool, float]:
    """What makes one record worse than another: that it failed, then its share of its tolerance."""
    share = math.inf if record.share is None or math.isnan(record.share) else record.share
    return record.verdict == "fail", share


def _noise_ratio(record: Record) -> float:
    return worst_noise_ratio([record])


def worst_noise_ratio(records: Iterable[Record]) -> float:
    """The largest noise ratio, 0 where there is none; one that is NaN counts as infinite."""
    ratios = [r.noise_ratio for r in records if r.noise_ratio is not None]
    return max((math.inf if math.isnan(ratio) else ratio for ratio in ratios), default=0.0)


def write_json(path: Path, results: Iterable[Result]) -> None:
    """Write results as JSON, whole or not at all."""
    from parity.core.files.atomic import write_whole

    def plain(result: Result) -> dict[str, Any]:
        derived = {"verdict": result.verdict, "first_divergence": result.first_divergence}
        kept = asdict(replace(result, sound=None, portraits=()))
        kept.pop("sound")
        return {**derived, **kept, "portraits": [each.plain() for each in result.portraits]}

    content = {"schema": SCHEMA, "results": [plain(result) for result in results]}
    write_whole(path, json_file.text_of(content, indent=1) + "\n")


def read_json(path: Path) -> list[Result]:
    """Read what `write_json` wrote; ParityError for anything else."""
    try:
        content = json_file.read(path)
        if not isinstance(content, dict) or not {"schema", "results"} <= content.keys():
            wanted = f'{{"schema": {SCHEMA}, "results": [...]}}'
            raise ValueError(f"expected {wanted}, found {reprlib.repr(content)}")
        if content["schema"] != SCHEMA:
            raise ParityError(
                f"{path} has result schema {content['schema']!r:.40}, this version reads {SCHEMA}: "
                "run `python -m parity run --json` again."
            )
        return [_result(item) for item in content["results"]]
    except json_file.DAMAGED as error:
        raise ParityError(
            f"{path} is not a result of `python -m parity run`: {json_file.reason(error)}"
        ) from error


def _result(item: dict[str, Any]) -> Result:
    counts = {key: Count(**value) for key, value in item["coverage"].items() if key != "missing"}
    result = Result(
        case=item["case"],
        dtype=item["dtype"],
        reference=item["reference"],
        layers=tuple(_record(values) for values in item["layers"]),
        coverage=Coverage(**counts, missing=tuple(item["coverage"]["missing"])),
        environment=item["environment"],
        fingerprint=item.get("fingerprint", ""),
        replay=item.get("replay", ""),
        attribution=tuple(_part(values) for values in item.get("attribution", ())),
        configuration=tuple(_argument(values) for values in item.get("configuration", ())),
        portraits=tuple(of_plain(values) for values in item.get("portraits", ())),
    )
    texts = (result.case, result.dtype, result.reference, *result.coverage.missing)
    json_file.check(str, result.fingerprint, result.replay)
    json_file.check(str, *texts)
    json_file.check(dict, result.environment)
    json_file.check(int, *(n for count in counts.values() for n in (count.compared, count.total)))
    return result


def _argument(values: dict[str, Any]) -> Argument:
    argument = Argument(**values)
    json_file.check(bool, argument.differs)
    json_file.check(str, *(text for key, text in values.items() if key != "differs"))
    return argument


def _part(values: dict[str, Any]) -> Part:
    numbers = {key: json_file.number(values[key]) for key in ("share", "vanished_db")}
    part = Part(**{**values, **numbers})
    json_file.check(str, part.path, part.module_class, part.source)
    json_file.check(int, part.call, part.calls)
    json_file.check(float, part.share, part.vanished_db)
    return part


def _record(values: dict[str, Any]) -> Record:
    numbers = {key: json_file.number(values[key]) for key in METRICS}
    tuples = {
        key: None if values[key] is None else tuple(values[key])
        for key in ("shape", "max_abs_index")
    }
    record = Record(**{**values, **numbers, **tuples})
    json_file.check(str, *(getattr(record, key) for key in TEXTS))
    json_file.check(int, record.call, record.output, *record.shape, *(record.max_abs_index or ()))
    json_file.check(float, record.tolerance)
    if record.verdict not in get_args(Verdict) or record.mode not in get_args(Mode):
        raise ValueError(f"verdict {record.verdict:.40}, mode {record.mode:.40}")
    return record
