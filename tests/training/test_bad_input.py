"""What stops a training: each a clear error, and what was learnt is still there."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf.errors import TrainingError
from demucs_tf.training import Plan
from demucs_tf.training import state as states
from demucs_tf.training.batches import Batches
from tests.support.tiny_models import tiny_model
from tests.training.folders import write_pieces
from tests.training.test_resume import arrays, run


@pytest.fixture(scope="module")
def begun(tmp_path_factory: Any) -> tuple[Path, Path]:
    data = write_pieces(tmp_path_factory.mktemp("data"))
    out = tmp_path_factory.mktemp("out")
    run(data, out, minutes=0)
    return data, out


def test_a_loss_that_is_no_number(tmp_path: Path, monkeypatch: Any) -> None:
    data = write_pieces(tmp_path / "data")
    read = Batches.batch

    def spoilt(self: Batches, step: int) -> Any:
        mix, stems = read(self, step)
        return (mix, stems * np.nan) if step == 3 and self.seed == 1 else (mix, stems)

    monkeypatch.setattr(Batches, "batch", spoilt)
    model = tiny_model(0)
    message = (
        r"The loss of step 3 is nan\. The weights are those of step 2 again, .*"
        r"The batch: drums of piece\d at \d\.\d s, bass of piece"
    )
    with pytest.raises(TrainingError, match=message):
        run(data, tmp_path / "out", model=model)
    assert states.read(tmp_path / "out" / "state.safetensors").step == 2
    kept = arrays(tmp_path / "out")
    for index, variable in enumerate(model.variables):
        np.testing.assert_array_equal(np.asarray(variable), kept[f"model.{index}"])
    assert all(np.isfinite(array).all() for array in kept.values())


def test_a_full_disk(begun: tuple[Path, Path], tmp_path: Path, monkeypatch: Any) -> None:
    data, out = begun
    before = (out / "state.safetensors").read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    message = r"the state at step 4 can't be written \(.*No space left.*make room, and resume"
    with pytest.raises(TrainingError, match=message):
        run(data, out, resume=True)
    assert (out / "state.safetensors").read_bytes() == before
    assert sorted(p.name for p in out.iterdir()) == [
        "log.csv",
        "model.safetensors",
        "state.safetensors",
    ]


def test_a_folder_that_has_a_state(begun: tuple[Path, Path]) -> None:
    with pytest.raises(TrainingError, match="is there already: resume it, or choose another"):
        run(*begun)


def test_nothing_to_resume(begun: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is nothing to resume from"):
        run(begun[0], tmp_path, resume=True)


def test_the_state_of_another_model(begun: tuple[Path, Path]) -> None:
    import demucs_tf

    other = demucs_tf.DemucsTF(
        ["drums", "bass", "other", "vocals"], channels=4, depth=2, lstm_layers=0, resample=False
    )
    with pytest.raises(TrainingError, match=r"another training: model has depth=1 \(wanted 2\)"):
        run(*begun, resume=True, model=other)


def test_the_state_of_other_pieces(begun: tuple[Path, Path], tmp_path: Path) -> None:
    data = write_pieces(tmp_path, count=2)
    with pytest.raises(TrainingError, match="another training: data has pieces="):
        run(data, begun[1], resume=True)


def test_another_plan(begun: tuple[Path, Path]) -> None:
    message = r"another training: plan has clip=1\.0 \(wanted 0\.5\)"
    with pytest.raises(TrainingError, match=message):
        run(*begun, resume=True, plan={"clip": 0.5, "learning_rate": 0.1})


@pytest.mark.parametrize("content", [b"", b"no state", b"\x10\0\0\0\0\0\0\0{}              "])
def test_no_state(begun: tuple[Path, Path], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.safetensors").write_bytes(content)
    with pytest.raises(TrainingError, match=r"state\.safetensors: not the state of a training"):
        run(begun[0], tmp_path, resume=True)


def test_a_stem_that_goes_away(tmp_path: Path) -> None:
    import keras

    data = write_pieces(tmp_path / "data")

    class Away(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            for piece in data.iterdir():
                (piece / "bass.wav").unlink(missing_ok=True)

    with pytest.raises(TrainingError, match=r"bass\.wav: it can't be read any more"):
        run(data, tmp_path / "out", callbacks=[Away()])
    assert states.read(tmp_path / "out" / "state.safetensors").step >= 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 5, "every": 2}, "steps must be a multiple of every"),
        ({"steps": 4, "every": 2, "warmup": 3, "decay": 2}, "must fit into 4 steps"),
        ({"steps": 4, "every": 2, "learning_rate": 0.0}, "learning_rate and clip must be above 0"),
    ],
)
def test_bad_plans(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(**values)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    plan = Plan(10, every=5, learning_rate=1.0, warmup=3, decay=4)
    rates = [plan.rate(step) for step in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
