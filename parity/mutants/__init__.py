"""Machine-made mutants of the port: of which modules, judged by what, and which are no faults.

A check is "CASE DTYPE", one stored case compared with its golden in both modes; "CASE backward",
its gradients in float64; "CASE any-length WAY", one trace for every length; "CASE files", what is
exported for other runtimes; "CASE training", steps of both sides with the same draws, which takes
the reference; or "FILE tests", the tests of layers, models and bags, in a checkout.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from parity import backward, training
from parity.cases import BY_NAME, IN_REPOSITORY
from parity.core.files import json_file
from parity.core.files.atomic import write_whole
from parity.core.guards.hunt import Heard, listen
from parity.core.guards.mutants import Mutant
from parity.exports import any_length
from parity.mutants.equivalent import EQUIVALENT

# What reckons. Configurations and presets are compared as data, and `where` knows the rest.
MODULES = tuple(
    f"demucs_tf.{name}"
    for name in (
        "layers.activation", "layers.attention", "layers.conv", "layers.float32_math",
        "layers.linear", "layers.norm", "layers.recurrent", "layers.resample", "layers.shape",
        "layers.spectral", "blocks.blstm", "blocks.dconv", "blocks.decoder", "blocks.embedding",
        "blocks.encoder", "blocks.layer_scale", "blocks.local_state", "blocks.multiwrap",
        "blocks.spectrogram", "blocks.transformer", "blocks.wiener", "models.bag", "models.base",
        "models.branches", "models.demucs", "models.hdemucs", "models.htdemucs", "models.hybrid",
    )
)  # fmt: skip
DRAWN = tuple(row.case.name for row in training.ROWS if row.draws)
FILES = ("demucs-attention", "demucs-lstm-framed-edge", "hdemucs-wiener1", "htdemucs-wide")
TESTS = Path(__file__).parents[2] / "tests"


# What runs the same lines is listened to once: a type or a compiler changes no branch of the port.
SAME_LINES = {
    "float64": ("float64", "float32"),
    "any-length xla": ("any-length graph", "any-length xla"),
}


def listened() -> list[str]:
    """The names of the checks that are listened to."""
    return [
        *(f"{case.name} float64" for case in IN_REPOSITORY),
        *(
            f"{name} any-length {way}"
            for name in any_length.CASES
            for way in any_length.WAYS
            if way != "graph"
        ),
        *(f"{name} training" for name in DRAWN),
        *(f"{name} files" for name in FILES),
        *(f"{name} backward" for name in backward.STORED),
        *(f"{path.relative_to(TESTS).as_posix()} tests" for path in _files_of_tests()),
    ]


def checks(heard: Heard) -> list[Heard]:
    """A check, and those that run the same lines."""
    name, _, kind = heard.check.partition(" ")
    kinds = SAME_LINES.get(kind, (kind,))
    return [Heard(f"{name} {each}", heard.seconds, heard.lines) for each in kinds]


def _files_of_tests() -> list[Path]:
    patterns = (
        "layers/test_*.py", "models/test_*.py", "inference/test_apply_bag.py",
        "inference/test_precision.py", "inference/test_traced_graphs.py", "audio/test_resampler.py",
        "export/test_keras_door.py",
    )  # fmt: skip
    return sorted(path for pattern in patterns for path in TESTS.glob(pattern))


def judge(check: str) -> str:
    """Run a check: the first divergence, or ""."""
    name, kind, *way = check.split()
    if kind == "tests":
        return _failed_test(TESTS / name)
    if kind == "any-length":
        return "; ".join(any_length.problems(name, cast(any_length.Way, way[0])))
    if kind == "training":
        (row,) = training.select([name])
        steps = training.run(row, "sgd", "float64", count=3)
        wrong = [step.number for step in steps.steps if step.verdict != "pass"]
        return "" if steps.verdict == "pass" else f"steps {wrong}"
    if kind == "files":
        from parity.exports.columns import COLUMNS
        from parity.exports.table import cells

        columns = [column for column in COLUMNS if column.format]
        failed = [c for c in cells(BY_NAME[name], columns) if c.verdict != "pass"]
        return f"{failed[0].column}: {failed[0].reason}" if failed else ""
    from parity.run import run_case

    case = BY_NAME[name]
    if kind == "backward":
        result = backward.run_case(case, "float64")
    else:
        result = run_case(case, kind, to_first=True)
    if result.verdict == "pass":
        return ""
    first = result.first_failure
    return f"{first.path} {first.module_class}" if first else result.coverage.missing[0]


def _failed_test(path: Path) -> str:
    """The first test of a file that fails, in this process; "" if all pass."""
    import pytest

    class First:
        name = ""

        def pytest_runtest_logreport(self, report: Any) -> None:
            self.name = self.name or (report.nodeid if report.failed else "")

    first = First()
    with redirect_stdout(io.StringIO()):
        status = pytest.main(["-x", "-q", "-n0", "-p", "no:cacheprovider", str(path)], [first])
    return first.name or ("" if status == pytest.ExitCode.OK else f"{path.name}: {status!s}")


def heard(folder: Path, jobs: int = 0) -> Iterator[tuple[int, int, Heard]]:
    """What is heard while listening, with its number and how many there are. Kept in `folder`."""
    names = listened()
    path = folder / f"heard-{_digest(names)}.json"
    if path.is_file():
        for number, (check, seconds, lines) in enumerate(json_file.read(path), 1):
            yield number, len(names), Heard(check, seconds, _sets(lines))
        return
    found = []
    for number, each in enumerate(listen(judge, names, MODULES, jobs), 1):
        lines = {file: sorted(numbers) for file, numbers in each.lines.items()}
        found.append((each.check, each.seconds, lines))
        yield number, len(names), each
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(found))


def _sets(lines: Mapping[str, Sequence[int]]) -> dict[str, frozenset[int]]:
    return {file: frozenset(numbers) for file, numbers in lines.items()}


def _digest(names: Sequence[str]) -> str:
    digest = hashlib.sha256(json.dumps(names).encode())
    for module in MODULES:
        digest.update(Path(str(import_module(module).__file__)).read_bytes())
    return digest.hexdigest()[:16]


def why_equivalent(mutant: Mutant) -> str:
    """Why a mutant is no fault; "" if it is one."""
    return next((row.why for row in EQUIVALENT if row.fits(mutant)), "")
