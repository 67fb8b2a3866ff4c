"""The table fits what runs it, and the suite is as small as the rest of the house."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.cases import CASES, LAYERS, Case
from benchmarks.kinds import Place, job_of, sides
from benchmarks.kinds.steps import STEPS
from benchmarks.models import SUBJECTS, reference, untrained
from benchmarks.timing import WrongResult, measure
from tests.benchmarks.fakes import Benchmark

ROOT = Path(__file__).parents[2] / "benchmarks"


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) > 50


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rows_fit(case: Any) -> None:
    assert hasattr(import_module(f"benchmarks.kinds.{case.kind}"), "job")
    assert case.against in case.ways
    assert case.ways[0] != case.against
    assert 0 < case.tolerance <= (1e-2 if "bfloat16" in case.ways else 1e-4)
    assert case.rounds >= 2


def test_the_engines_are_those_of_the_package() -> None:
    assert {"graph", "eager", "xla"} <= set(sides.ENGINES)
    assert not {"auto", "litert", "onnx"} & set(sides.ENGINES)


def test_files_and_folders_are_small() -> None:
    files = list(ROOT.rglob("*.py"))
    assert len(files) > 20
    assert all(len(path.read_text(encoding="utf-8").splitlines()) <= 250 for path in files)
    for folder in {path.parent for path in files}:
        assert len(list(folder.glob("*.py"))) <= 12, folder


def test_torch_is_timed_with_the_kernels_that_it_has_by_itself() -> None:
    # Tests have MKL give the same last places on every processor, and products 20 times slower.
    look = "import os, conftest, benchmarks.conftest; print(os.environ.get('MKL_CBWR'))"
    environment = {key: value for key, value in os.environ.items() if key != "MKL_CBWR"}
    command = [sys.executable, "-c", look]
    done = subprocess.run(
        command, cwd=ROOT.parent, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["None"]


@pytest.mark.live
def test_where_there_is_no_gpu_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpu"]) == 1
    assert "error: expected a GPU that both frameworks see, but" in capsys.readouterr().err


@pytest.mark.live
def test_a_name_that_no_case_has_is_told(tmp_path: Path) -> None:
    records = tmp_path / "records.json"
    command = [sys.executable, "-m", "benchmarks", "run", "-k", "unheard", "-o", str(records)]
    # The command is no worker of ours: in one, pytest-benchmark refuses to time.
    environment = {key: value for key, value in os.environ.items() if "XDIST" not in key}
    done = subprocess.run(
        command, cwd=ROOT.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.endswith("error: no case fits -k 'unheard': see benchmarks/cases.py.\n")
    assert "Traceback" not in done.stderr
    assert not records.exists()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The port of a tiny model, which stands for all models."""
    from demucs.demucs import Demucs

    from demucs_tf import from_torch
    from parity.core.seeding import seed_module

    module = Demucs(["a", "b"], channels=4, depth=1, resample=False, segment=0.05).eval()
    seed_module(module, 0)
    port = from_torch(module)
    monkeypatch.setattr(sides, "the_reference", lambda model: module)
    monkeypatch.setattr(sides, "the_port", lambda model: port)
    return port


def _case(name: str, **options: Any) -> Case:
    case = next(each for each in CASES if each.name.startswith(name))
    return replace(case, options={**case.options, **options})


@pytest.mark.live
@pytest.mark.parametrize("name", ["segment/", "exported/", "batch/", "track/"])
def test_a_tiny_model_by_every_way(name: str, tiny: Any, tmp_path: Path) -> None:
    case = _case(name, seconds=1)
    record = measure(Benchmark(), job_of(case, Place(tmp_path, 1)), case.tolerance, rounds=2)
    assert record["left_out"] == {}
    assert set(record["snr_db"]) == set(case.ways)
    assert min(record["snr_db"].values()) >= 100


@pytest.mark.live
def test_a_port_with_a_changed_weight_is_not_timed(tiny: Any, tmp_path: Path) -> None:
    kernel = next(each for each in tiny.variables if len(each.shape) > 1)
    kernel.assign(np.asarray(kernel) * 1.001)
    benchmark, case = Benchmark(), _case("segment/")
    with pytest.raises(WrongResult, match=r"relative L2 .* not timed"):
        measure(benchmark, job_of(case, Place(tmp_path, 1)), case.tolerance, rounds=2)
    assert benchmark.timed == 0


@pytest.mark.live
def test_both_commands_on_one_checkpoint(tmp_path: Path) -> None:
    """Processes of their own, whose stems are verified as files."""
    case = _case("length/", seconds=1)
    record = measure(Benchmark(), job_of(case, Place(tmp_path, 1)), case.tolerance, rounds=1)
    assert min(record["snr_db"].values()) >= 94
    [figures] = record["rounds"]
    for way in ("demucs-tf", "demucs"):
        assert figures[way]["seconds"] > 0
        assert 5e7 < figures[way]["peak"] < 5e9


@pytest.mark.live
def test_layers_of_the_table_are_there() -> None:
    for model in dict.fromkeys(model for _, model, _ in LAYERS):
        module = untrained(model)
        for _, _, path in (row for row in LAYERS if row[1] == model):
            assert path[1:] in STEPS if path.startswith(":") else module.get_submodule(path)


@pytest.mark.live
@pytest.mark.full
@pytest.mark.parametrize("name", SUBJECTS)
def test_the_operations_are_counted_right(name: str) -> None:
    import torch

    from benchmarks.flops import counted

    module, mix = reference(name), torch.from_numpy(sides.chunk(name))
    assert counted(lambda: module(mix))[1] / 1e9 == pytest.approx(SUBJECTS[name].gflop, rel=1e-3)
    sides.forget()
