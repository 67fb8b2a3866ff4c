"""`python -m parity where`, held against what the goldens' manifests and the sources say."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from parity import run
from parity.cases import BY_NAME, IN_REPOSITORY, whole_track
from parity.core import result
from parity.where import Answer, evidence, measured, nearest, port, where
from tests.parity.conftest import Call
from tests.parity.test_report import record
from tests.parity.test_report import result as report_result

pytestmark = pytest.mark.live  # the reference's files have to be here

FILES = ("demucs", "hdemucs", "htdemucs", "transformer", "spec", "wiener")
# What a pass of a model runs, and what else those files have that is never called.
FORWARD = re.compile(
    r"forward|_spec|_ispec|_magnitude|_mask|_wiener|wiener|expectation_maximization|_norm|_mul"
    r"|_inv|_conj|_mul_add|spectro|ispectro|pad1d|_sa_block|_ca_block|_ff_block|_get_pos_embedding"
    r"|create_\w*sin_embedding\w*"
)
ROOT = Path(__file__).parent.parent.parent
SECONDS = 3.0
Named = tuple[str, str]  # a class, and its step or the attribute that a layer is
Drawn = tuple[str, int, ast.stmt, str, str]  # file, line, statement, class, function


def _reference() -> Path:
    spec = importlib.util.find_spec("demucs")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _lines(wanted: Callable[[str], bool], files: Sequence[str] = FILES) -> list[Drawn]:
    """The lines with a statement in the functions whose name is `wanted`."""
    found: list[Drawn] = []

    def visit(node: ast.AST, file: str, owner: str, function: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                visit(child, file, child.name, "")
            elif isinstance(child, ast.FunctionDef):
                visit(child, file, owner, function or child.name)
            else:
                text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
                if isinstance(child, ast.stmt) and wanted(function) and not text:
                    found.append((file, child.lineno, child, owner, function))
                visit(child, file, owner, function)

    for name in files:
        file = f"demucs/{name}.py"
        visit(ast.parse((_reference() / f"{name}.py").read_text()), file, "", "")
    return found


def _captured() -> tuple[dict[str, set[Named]], set[Named]]:
    """Steps by the line that the running reference had; layers by class and attribute."""
    steps: dict[str, set[Named]] = {}
    layers: set[Named] = set()
    for case in IN_REPOSITORY:
        events = json.loads(run.SUITE.golden(case).path.read_text())["events"]
        owners = {event["path"]: event["owner"] for event in events if event["kind"] == "module"}
        for event in events:
            module, _, step = event["path"].partition(":")
            if step:
                steps.setdefault(event["source"], set()).add((event["owner"], step))
            above, _, name = module.rpartition(".")
            while name.isdecimal():  # a place in a list, which is not called
                above, _, name = above.rpartition(".")
            if above in owners:
                layers.add((owners[above], name))
    return steps, layers


def _problems(drawn: Drawn, steps: dict[str, set[Named]], layers: set[Named]) -> list[str]:
    """What is wrong with the answer for a line."""
    file, line, statement, owner, function = drawn
    began = time.process_time()
    answers = where(f"{file}:{line}")
    seconds = time.process_time() - began
    if len(answers) != 1:
        return [f"{len(answers)} answers"]
    answer = answers[0]
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno or line
    captured = {step for n in range(line, last + 1) for step in steps.get(f"{file}:{n}", ())}
    found = {(t.owner, t.name) for t in answer.targets if t.kind == "tap"}
    problems = [f"step {step} is missing" for step in captured - found]
    if captured and owner:  # several models have the steps of a function that is in no class
        problems += [f"step {step} is of elsewhere" for step in found - captured]
    problems += [
        f"step {step} is not in the port" for step in captured if not _is_run(answer, step)
    ]
    text = ast.unparse(statement).splitlines()[0]
    called = {(owner, name) for name in re.findall(r"\bself\.(\w+)\(", text)} & layers
    made = {(t.owner, t.name) for t in answer.targets if t.kind == "module"}
    problems += [f"layer {layer} is missing" for layer in called - made]
    if ".".join(filter(None, (owner, function))) not in answer.title:
        problems.append(f"{answer.title} is of elsewhere")
    if (captured or called) and not answer.calls:
        problems.append("no case hears it")
    if not answer.lines:
        problems.append("no line of the port")
    return [*problems, *([f"{seconds:.1f} s"] if seconds > SECONDS else [])]


def _is_run(answer: Answer, step: Named) -> bool:
    """Whether an answer names a line that runs a step: read from the file itself."""
    for line in answer.lines:
        text = (ROOT / line.file).read_text().splitlines()[line.number - 1 : line.number + 1]
        if re.search(rf'step\(\s*(#.*)?\s*"{step[1]}"', "\n".join(text)):
            return True
    return False


def test_twenty_lines_at_random() -> None:
    seed = int(os.environ.get("PARITY_SEED", random.SystemRandom().randrange(10**6)))
    print(f"PARITY_SEED={seed}")
    steps, layers = _captured()
    chosen = random.Random(seed).sample(_lines(lambda name: bool(FORWARD.fullmatch(name))), 20)
    problems = {f"{line[0]}:{line[1]}": _problems(line, steps, layers) for line in chosen}
    assert not {place: found for place, found in problems.items() if found}


def test_constructors() -> None:
    """A line of a constructor is answered by our class, or a base of it."""
    seed = int(os.environ.get("PARITY_SEED", random.SystemRandom().randrange(10**6)))
    print(f"PARITY_SEED={seed}")
    ours = {"Demucs": "DemucsTF", "HDemucs": "HDemucsTF", "HTDemucs": "HTDemucsTF"}
    owners = {owner for owner, _ in _captured()[1] if owner in ours or _is_ours(owner)}
    lines = [line for line in _lines("__init__".__eq__) if line[3] in owners]
    for file, number, *_, owner, _ in random.Random(seed).sample(lines, 10):
        (answer,) = where(f"{file}:{number}")
        names = {line.name.partition(".")[0] for line in answer.lines}
        name = ours.get(owner, owner)
        bases = {ast.unparse(base) for base in _class_of(name).bases}
        assert names & {name, *bases}, f"{file}:{number}: {names}"


def _class_of(name: str) -> ast.ClassDef:
    files = [
        path for path in (ROOT / "demucs_tf").rglob("*.py") if f"class {name}(" in path.read_text()
    ]
    nodes = [node for path in files for node in ast.parse(path.read_text()).body]
    return next(n for n in nodes if isinstance(n, ast.ClassDef) and n.name == name)


def _is_ours(name: str) -> bool:
    return any(f"class {name}(" in p.read_text() for p in (ROOT / "demucs_tf/blocks").glob("*.py"))


@pytest.mark.parametrize(
    ("question", "title", "targets"),
    [
        # Lines.
        ("htdemucs.py:475", "HTDemucs._mask", "HTDemucs:mask"),
        ("demucs/htdemucs.py:475", "HTDemucs._mask", "HTDemucs:mask"),
        ("site-packages/demucs/htdemucs.py:475-476", "HTDemucs._mask", "HTDemucs:mask"),
        ("hdemucs.py:123", "HEncLayer.forward", "HEncLayer:gelu"),  # a def
        ("hdemucs.py:125", "HEncLayer.forward", "HEncLayer:gelu"),  # a docstring
        ("hdemucs.py:131", "HEncLayer.forward", "HEncLayer:gelu"),  # a blank
        ("hdemucs.py:132", "HEncLayer.forward", "HEncLayer:pad"),  # a branch
        ("hdemucs.py:717", "HDemucs.forward", "HDemucs.encoder"),  # a loop over layers
        ("demucs.py:327", "Demucs.__init__", "Demucs.encoder"),  # a branch
        ("htdemucs.py:313", "HTDemucs.__init__", "HTDemucs.tencoder"),  # a local name
        ("apply.py:222", "apply_model", "apply_model"),
        ("api.py:270", "Separator.separate_tensor", "Separator"),
        ("htdemucs.py:464", "HTDemucs._mask", "HTDemucs:mask"),  # a comment
        ("hdemucs.py:735", "HDemucs.forward", "HDemucs:frequencies"),  # on a line
        ("spec.py:20", "spectro", "HTDemucs:stft"),  # inside what a step calls
        ("hdemucs.py:116", "HEncLayer.__init__", "HEncLayer.rewrite"),
        ("hdemucs.py:99", "HEncLayer.__init__", "HEncLayer"),  # no layer
        # Names of the reference.
        ("_mask", "HDemucs._mask", "HDemucs:mask"),
        ("HTDemucs._mask()", "HTDemucs._mask", "HTDemucs:mask"),
        ("demucs.hdemucs.HEncLayer", "HEncLayer", "HEncLayer"),
        ("HEncLayer.rewrite", "HEncLayer.__init__", "HEncLayer.rewrite"),
        ("wiener_initial", "wiener", "HDemucs:wiener_initial"),
        ("HEncLayer:glu", "HEncLayer.forward", "HEncLayer:glu"),
        (":upsample", "Demucs.forward", "Demucs:upsample"),
        ("GLU", "GLU", "GLU"),
        ("MultiheadAttention:heads", "step heads", "MultiheadAttention:heads"),
        ("encoder.0.rewrite", "encoder.0.rewrite", "encoder.0.rewrite"),
        # Names of ours.
        ("DemucsTF", "Demucs", "Demucs"),
        ("transition_weight", "apply_model", "apply_model"),
        ("layers.activation.GLU", "GLU", "GLU"),
        # Quotations.
        ("x = x + skip", "HDecLayer.forward", "HDecLayer:skip"),
        ("    x=x+skip  # here", "HDecLayer.forward", "HDecLayer:skip"),
        ("x = rearrange(x,\"b c f t-> b c (f t)\")", "HTDemucs.forward", "HTDemucs:flatten"),
        ("F.gelu(self.norm1(y))", "HEncLayer.forward", "HEncLayer:gelu"),
        ("return z / (1e-8 + z.abs()) * m", "HDemucs._mask", "HDemucs:mask"),
        ("if inject is not None:", "HEncLayer.forward", "HEncLayer:inject"),
        ("x = F.pad(x, (0, self.stride -", "HEncLayer.forward", "HEncLayer:pad"),
        ("y = self.conv(y)\ny = foo()", None, None),
    ],
)  # fmt: skip
def test_questions(question: str, title: str | None, targets: str | None) -> None:
    answers = where(question)
    assert bool(answers) == bool(title)
    if title and targets:
        found = {_text(target) for target in answers[0].targets}
        assert title in answers[0].title
        assert targets in found
        assert answers[0].lines
        assert answers[0].calls


def _text(target: object) -> str:
    from parity.where.reference import Target
    from parity.where.show import name_of

    assert isinstance(target, Target)
    return name_of(target)


@pytest.mark.parametrize(
    ("question", "close"),
    [
        ("HEncLayr", "HEncLayer"),
        ("x = x + skipp", "x = x + skip"),
        ("hdemucs.py:100000", "demucs/hdemucs.py"),
        ("solver.py:1", "demucs/hdemucs.py"),
        ("zzzzzz", ""),
    ],
)
def test_nothing_found(question: str, close: str) -> None:
    assert where(question) == []
    assert any(close in each for each in nearest(question)) == bool(close)


def test_the_command() -> None:
    """It imports neither side, and is quick: processor time, as the machine may be busy."""
    code = (
        "import sys, time; from parity.__main__ import main; status = main(sys.argv[1:]);"
        "print({'tensorflow', 'keras', 'torch', 'demucs', 'julius'} & {*sys.modules});"
        "print(time.process_time()); sys.exit(status)"
    )
    run = [sys.executable, "-c", code, "where"]
    found = subprocess.run([*run, "htdemucs.py:476"], capture_output=True, text=True, cwd=ROOT)
    *lines, modules, seconds = found.stdout.splitlines()
    assert (found.returncode, found.stderr, modules) == (0, "", "set()")
    assert float(seconds) <= SECONDS
    assert lines[0] == "demucs/htdemucs.py:476  HTDemucs._mask"
    assert lines[1] == "    return z / (1e-8 + z.abs()) * m"
    for each in ("  HTDemucs:mask", "heard by 1 case, 1 call", "  htdemucs-masks"):
        assert each in lines
    found = subprocess.run([*run, "HEncLayr"], capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 1
    assert "nothing found for 'HEncLayr'\nnearest:\n  HEncLayer\n" in found.stderr
    found = subprocess.run(run, capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 2


def test_measured(tmp_path: Path, call: Call) -> None:
    """What `run` measured last, or what a file of results says."""
    sample = report_result(
        record(":mask", rel_l2=1.25e-8, noise_ratio=0.5, tolerance=1e-6, kind="tap"),
        case="htdemucs-masks", dtype="float32",
    )  # fmt: skip
    out, _ = call("where", "htdemucs.py:476")
    assert out.count("not yet") == 4
    assert "to measure: python -m parity run --case htdemucs-masks" in out
    result.write_json(tmp_path / "r.json", [sample])
    for options in (("--results", tmp_path / "r.json"), ()):
        measured.keep(sample)
        out, _ = call("where", "htdemucs.py:476", *options)
        assert out.count("not yet") == 3
        assert re.search(r"isolated +float32 +\S+ +1\.2e-08 +0\.50 +1\.2% +20\d\d-", out)


def test_faults_are_read_as_they_are() -> None:
    from parity.faults import FAULTS

    assert [(f.name, f.case, f.place) for f in sorted(FAULTS, key=lambda f: f.name)] == [
        (f.name, f.case, f.place) for f in sorted(evidence.faults(), key=lambda f: f.name)
    ]
    for fault in evidence.faults():
        file, _, number = fault.line.partition(":")
        lines = (ROOT / file).read_text().splitlines()[int(number) - 1 :][:4]
        assert any(f'"{fault.name}"' in line for line in lines)


def test_every_captured_call_has_a_line_of_the_port() -> None:
    """What a failure prints beside the reference's line."""
    calls = {(c.event.path, c.event.owner, c.event.source) for c in evidence.calls()}
    for path, owner, source in sorted(calls):
        line = port.of_record(path, owner, source)
        assert line is not None, (path, owner)
        step = path.rpartition(":")[2] if ":" in path else ""
        text = "\n".join((ROOT / line.file).read_text().splitlines()[line.number - 1 :][:2])
        assert f'"{step}"' in text if step else re.match(r"\s*(class|def) ", text)


# What of `apply_model` our functions do; the rest is its own.
PARTS = {
    "Application._bag": range(201, 230), "Job.blocks": range(237, 257),
    "Job._split": range(257, 303), "Job._batch": range(303, 324),
}  # fmt: skip
UNTAKEN = (180, 286, 316, 321)  # threads, a progress bar, callbacks


def test_lines_of_whole_tracks_at_random() -> None:
    """They are answered by the function that does it, the cases that run it, and its faults."""
    seed = int(os.environ.get("PARITY_SEED", random.SystemRandom().randrange(10**6)))
    print(f"PARITY_SEED={seed}")
    lines = _lines(lambda name: name in ("apply_model", "padded", "__init__"), ("apply",))
    tracks = {case.name: case.apply for case in BY_NAME.values() if case.apply}
    for _, number, _, owner, function in random.Random(seed).sample(lines, 20):
        (answer,) = where(f"apply.py:{number}")
        name = next((name for name, part in PARTS.items() if number in part), None)
        name = name or f"{owner}.{function}".removeprefix(".")
        assert name in {line.name for line in answer.lines}, number
        heard = {call.case for call in answer.calls}
        bag = number in PARTS["Application._bag"][1:] or owner == "BagOfModels"
        assert heard <= {case for case in tracks if not bag or "bag" in tracks[case]}, number
        assert {fault.case for fault in answer.faults} <= heard, number
        assert bool(heard) == (number not in UNTAKEN), number


TRACKS = len(whole_track.CASES)  # one of which is separated whole


@pytest.mark.parametrize(
    ("question", "ours", "cases", "faults"),
    [
        ("apply.py:222", "Application._bag", 2, "bag-weights-ignored bag-table-shifted"),
        ("apply.py:259", "Job._split", TRACKS - 1, "overlap-not-weighted"),
        ("apply.py:300", "Job._split", TRACKS - 1, "overlap-weight-from-zero"),
        ("apply.py:306", "Job._valid_length", 1, "segment-rule-ignored"),
        ("apply.py:316", "Job._batch", 0, ""),  # a callback
        ("Application._bag", "Application._bag", 2, "bag-weights-ignored"),
        ("Separator.separate_tensor", "Separator.separate_tensor", 1, "track-level-biased"),
        ("apply_model", "apply_model", TRACKS, "position-shift-not-drawn overlap-not-weighted"),
        ("TensorChunk.padded", "TensorChunk.padded", TRACKS, "chunks-padded-with-zeros"),
        ("BagOfModels", "BagOfModels", 2, "bag-table-shifted"),
        ("BagOfModels.max_allowed_segment", "BagOfModels.max_allowed_segment", 0, ""),
        ("api.py:271", "track_statistics", 1, "track-level-biased"),
        ("api.py:204", "_load", 0, ""),
    ],
)
def test_whole_tracks(question: str, ours: str, cases: int, faults: str) -> None:
    (answer,) = where(question)
    assert answer.lines[0].name == ours
    assert re.match(r"demucs_tf/(inference|models/bag\.py)", answer.lines[0].file)
    assert len({call.case for call in answer.calls}) == cases
    assert {*faults.split()} <= {fault.name for fault in answer.faults}
    assert len(answer.faults) < 4 or question == "apply_model"
    if answer.calls:
        assert {mode for mode, _ in evidence.tolerances(answer.calls)} == {"cumulative"}


def test_names_of_ours_without_a_name_in_the_reference() -> None:
    answers = where("Job")
    assert {"Job.blocks", "Job._split"} <= {answer.lines[0].name for answer in answers}
    (answer,) = where("summed")
    assert [line.name for line in answer.lines] == ["summed"]
    assert (answer.note, answer.calls) == ("nothing that is compared is named in it", ())


def test_few_lines_the_nearest_first(call: Call) -> None:
    (loop,) = where("hdemucs.py:717")
    assert [line.name for line in loop.lines] == ["HybridModel._encode"]
    (line,) = where("hdemucs.py:144")  # y = F.gelu(self.norm1(y))
    (model,) = where("htdemucs.py:49")
    assert [each.name for each in model.lines][:1] == ["HTDemucsTF"]
    assert 'self.step("gelu"' in line.lines[0].text
    assert [each.name for each in line.lines] == ["HEncLayer.call"]
    out, _ = call("where", "hdemucs.py:700")
    assert out.count("demucs_tf/") <= 3
    out, _ = call("where", "_mask")
    assert re.search(r"and \d+ lines? more \(-v\)", out)


def test_a_function_that_nothing_calls(call: Call) -> None:
    out, _ = call("where", "get_elementary_mask")
    assert "(nothing that is compared calls it)" in out
    assert "its class" not in out


@pytest.mark.parametrize("question", ["", " ", ".", ":"])
def test_no_question(call: Call, question: str) -> None:
    _, err = call("where", question, status=2)
    assert f"expected a line, a name or code, found {question!r}" in err


def test_the_example_of_the_documentation(call: Call) -> None:
    """What was measured, and when, is left out, and in which line of ours a thing stands."""

    def plain(text: str) -> list[str]:
        table = re.compile(r"^ +(isolated|cumulative|tolerance) .*|^  to measure.*\n", re.MULTILINE)
        ours = re.compile(r"((?:demucs_tf|parity)/\S+\.py):\d+")
        return ours.sub(r"\1", table.sub(r"\1", text)).split("\n")

    page = (ROOT / "docs/parity.md").read_text()
    (question, shown), *_ = re.findall(
        r"\$ python -m parity where (\S+)\n(.*?)```", page, re.DOTALL
    )
    assert plain(shown) == plain(call("where", question)[0])
