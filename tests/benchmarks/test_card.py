"""The graph that goes to another machine: whole, in full float32, with its weights named."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.card.module import ABOUT, MLIR, about, check, get, lower, put
from demucs_tf.checkpoints.weights import read_state
from demucs_tf.errors import DemucsTFError
from tests.support.tiny_models import tiny_model

LENGTH = 64


def test_a_module_comes_back_with_its_weights(tmp_path: Path) -> None:
    port = tiny_model(0)
    length = port.valid_length(LENGTH)
    module = lower(port, 2, length)
    told = about(port, "tiny", 2, length)
    put(tmp_path / "tiny-2", told, module)
    found, same = get(tmp_path / f"tiny-2{ABOUT}")
    assert same == module
    assert found == told
    assert found.shape == (2, 2, length)
    assert not found.shift
    assert {each.key for each in found.places} == set(read_state(port))
    assert [each.shape for each in found.places] == [tuple(v.shape) for v in port.variables]


ROUNDED = "%1 = stablehlo.dot %a, %b, precision = [DEFAULT, DEFAULT] : tensor<2x2xf32>"
FOREIGN = '%1 = stablehlo.custom_call @onednn(%a) {backend_config = ""}'


@pytest.mark.parametrize(
    ("line", "words"), [(ROUNDED, "in full float32"), (FOREIGN, "operations of StableHLO alone")]
)
def test_what_another_machine_would_work_out_otherwise_is_refused(line: str, words: str) -> None:
    check(line.replace("DEFAULT", "HIGHEST").replace("custom_call @onednn", "add"))
    with pytest.raises(DemucsTFError, match=words):
        check(line)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    port = tiny_model(0)
    put(tmp_path / "a", about(port, "tiny", 1, LENGTH), b"module")
    (tmp_path / f"a{MLIR}").write_bytes(b"none")
    with pytest.raises(DemucsTFError, match="card write"):
        get(tmp_path / f"a{ABOUT}")


@pytest.mark.live
def test_a_folder_without_modules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", "run", str(tmp_path), "-o", str(tmp_path / "a.json")]) == 1
    assert "card write" in capsys.readouterr().err
    assert not (tmp_path / "a.json").exists()
