"""The table of exports: verdicts, bounds, and the first layer that is off inside a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf.errors import ExportError
from demucs_tf.export.passes import flatbuffer
from parity.__main__ import main
from parity.cases import BY_NAME
from parity.core.compare import compare
from parity.core.result import ParityError
from parity.exports import columns, engines, layers, show, table
from parity.exports.columns import ROWS
from parity.exports.table import Cell


def test_the_rows_are_cases_with_goldens() -> None:
    for name in [row.case for row in ROWS] + list(columns.NOT_IN_FILES):
        assert BY_NAME[name].stored == "repository"
        assert not BY_NAME[name].apply


def test_a_wider_bound_needs_a_worse_reference() -> None:
    eager, litert = columns.BY_NAME["eager"], columns.BY_NAME["LiteRT float32"]
    assert columns.bound(eager, 1e-7) == 1e-7
    assert columns.bound(litert, 1e-7) == 1e-5
    assert columns.bound(litert, 1e-4) == 1e-4


def _cell(actual: float, bound: float = 1e-5) -> Cell:
    stems = tuple(compare(np.array([value]), np.array([1.0]), bound) for value in (1.0, actual))
    return Cell("demucs-mono", "eager", bound, stems)


def test_the_worst_stem_counts() -> None:
    good, bad = _cell(1 + 1e-6), _cell(1 + 1e-3)
    assert (good.verdict, show.text(good)) == ("pass", "120.0")
    assert (bad.verdict, show.text(bad)) == ("fail", "**60.0**, needs 100.0")
    assert show.text(_cell(1.0)) == "equal"
    assert _cell(np.nan).verdict == "fail"
    assert show.text(_cell(np.nan)) == "**nothing**, needs 100.0"


def test_nothing_compared_does_not_pass() -> None:
    assert Cell("demucs-mono", "eager", 1e-5).verdict == "fail"


def test_what_a_format_lacks_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> Path:
        raise ExportError("LiteRT lacks an operator")

    monkeypatch.setattr(engines, "export", refuse)
    assert main(["exports", "--case", "demucs-mono", "-k", "eager or int8"]) == 0
    said = capsys.readouterr().out
    assert "refused: demucs-mono LiteRT int8: LiteRT lacks an operator\n" in said
    assert "1 passed, 0 failed, 1 refused\n" in said


def test_a_wrong_output_fails_with_its_stem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = engines.run
    monkeypatch.setattr(
        engines, "run", lambda *given: {"stems": run(*given)["stems"] * np.float32(1.01)}
    )
    found = tmp_path / "found.json"
    options = ["--case", "demucs-mono", "-k", "SavedModel", "--json", str(found)]
    assert main(["exports", *options]) == 1
    assert "fail: demucs-mono SavedModel: relative L2 0.01 exceeds" in capsys.readouterr().out
    assert '"verdict": "fail"' in found.read_text()


def test_a_case_that_draws_is_refused() -> None:
    case, column = BY_NAME["htdemucs-random-shift"], columns.BY_NAME["ONNX float32"]
    (cell,) = table.cells(case, [column])
    assert (cell.verdict, cell.reason) == ("refused", columns.NOT_IN_FILES[case.name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--case", "demucs-mono", "--full"], "do not go together"),
        (["--case", "demucs-music"], "no case of a whole model with a golden"),
        (["--case", "demucs-mono", "-k", "nothing"], "no case fits"),
        (["--case", "hdemucs-plain", "--layers", "-k", "LiteRT"], "a batch of 2"),
        (["--case", "htdemucs-random-shift", "--layers"], "a file draws nothing"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["exports", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_layers_of_narrow_weights_are_not_looked_at() -> None:
    with pytest.raises(ParityError, match="layers are looked at in LiteRT float32 and ONNX"):
        layers.check_layers(BY_NAME["demucs-mono"], columns.BY_NAME["ONNX float16"])


IN_FILES = ("LiteRT float32", "ONNX float32")


@pytest.mark.parametrize("column", IN_FILES)
def test_all_layers_of_a_graph_are_compared(column: str) -> None:
    result = layers.check_layers(BY_NAME["htdemucs-dconv"], columns.BY_NAME[column])
    assert not result.failures
    assert result.coverage.complete, result.coverage.missing


@pytest.mark.parametrize("column", IN_FILES)
@pytest.mark.parametrize("path", ["encoder.1.conv", "decoder.0.conv_tr"])
def test_a_wrong_constant_is_found_where_it_is(
    path: str, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is wrong in the exported graph alone."""
    export = engines.export

    def spoiled(*given: Any) -> Path:
        file = export(*given)
        _SPOIL[file.suffix](file, f"{path}#0#0")
        return file

    monkeypatch.setattr(engines, "export", spoiled)
    result = layers.check_layers(BY_NAME["hdemucs-no-embedding"], columns.BY_NAME[column])
    assert result.first_divergence == path


def _spoil_litert(file: Path, output: str) -> None:
    """Change the first matrix above an output."""
    model = flatbuffer.parsed(file.read_bytes())
    graph = model.subgraphs[0]
    makers = {int(i): each for each in graph.operators for i in each.outputs}
    named = {each.name: each.tensorIndex for each in model.signatureDefs[0].outputs}
    waiting = [named[output.encode()]]
    while waiting:
        for index in makers[waiting.pop(0)].inputs:
            data = flatbuffer.constant(model, graph.tensors[index]) if index >= 0 else None
            if data is not None and len(graph.tensors[index].shape) >= 3:
                values = np.frombuffer(data.tobytes(), np.float32).copy()
                values[0] += 0.1
                model.buffers[graph.tensors[index].buffer].data = values.view(np.uint8)
                file.write_bytes(flatbuffer.serialised(model))
                return
            waiting += [int(index)] if data is None and index in makers else []
    raise AssertionError("no matrix")


def _spoil_onnx(file: Path, output: str) -> None:
    import onnx

    model = onnx.load(str(file))
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {each.name: each for each in model.graph.initializer}
    waiting = [output]
    while waiting:
        for name in makers[waiting.pop(0)].input:
            tensor = constants.get(name)
            if tensor is not None and len(tensor.dims) >= 3:
                values = onnx.numpy_helper.to_array(tensor).copy()
                values.flat[0] += 0.1
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))
                onnx.save(model, str(file))
                return
            waiting += [name] if name in makers else []
    raise AssertionError("no matrix")


_SPOIL: dict[str, Callable[[Path, str], None]] = {".tflite": _spoil_litert, ".onnx": _spoil_onnx}
