"""A training that is killed and resumed ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf.training import state as states
from tests.support.tiny_models import tiny_model
from tests.training.folders import STEMS, write_pieces

SCRIPT = """
import sys
from pathlib import Path
from tests.training.test_resume import run
run(Path(sys.argv[1]), Path(sys.argv[2]), resume=sys.argv[3] == "resume")
"""


def run(data: Path, out: Path, *, resume: bool = False, steps: int = 12, **more: Any) -> Any:
    """Train a tiny model for a few steps in epochs of two."""
    from demucs_tf.training import Augmentation, Batches, Plan, StemFolder, train

    folder = StemFolder(data, STEMS)
    model = more.pop("model", None) or tiny_model(0)
    batches = Batches(folder, 2, 0.05, Augmentation(), seed=1)
    plan = Plan(steps, every=2, warmup=2, decay=4, **more.pop("plan", {}))
    validation = Batches(folder, 2, 0.05, seed=2)
    more = {"validation": validation, "verbose": 0, **more}
    train(model, batches, plan, out, resume=resume, **more)
    return model


def arrays(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(folder / "state.safetensors")


def assert_same(one: Path, two: Path) -> None:
    first, second = arrays(one), arrays(two)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    for file in ("model.safetensors",):
        assert (one / file).read_bytes() == (two / file).read_bytes()
    rows = [states.read(each / "state.safetensors").history for each in (one, two)]
    for row in (*rows[0], *rows[1]):
        row.pop("seconds")
    assert rows[0] == rows[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> tuple[Path, Path]:
    data = write_pieces(tmp_path_factory.mktemp("data"))
    out = tmp_path_factory.mktemp("whole")
    run(data, out)
    return data, out


def test_killed_anywhere(whole: tuple[Path, Path], tmp_path: Path) -> None:
    data, undisturbed = whole
    random = np.random.default_rng(int(os.environ.get("DEMUCS_TF_KILLS_SEED", "0")))
    kills = int(os.environ.get("DEMUCS_TF_KILLS", "1"))
    way, killed = "begin", 0
    while True:
        command = [sys.executable, "-c", SCRIPT, str(data), str(tmp_path), way]
        process = subprocess.Popen(command)
        if killed == kills:
            assert process.wait(120) == 0
            break
        _wait_for_steps(tmp_path, process, more_than=2 * killed)
        time.sleep(random.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        way, killed = "resume", killed + 1
    assert_same(undisturbed, tmp_path)


def _wait_for_steps(folder: Path, process: Any, more_than: int) -> None:
    while not (folder / "log.csv").exists() or _steps(folder) <= more_than:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.002)


def _steps(folder: Path) -> int:
    return states.read(folder / "state.safetensors").step


def test_stopped_by_its_time_and_resumed_with_fewer_steps(
    whole: tuple[Path, Path], tmp_path: Path
) -> None:
    """As long as the learning rate has not fallen, the end can be moved."""
    data, undisturbed = whole
    run(data, tmp_path, steps=16, minutes=0)
    assert _steps(tmp_path) == 2
    run(data, tmp_path, resume=True)
    assert_same(undisturbed, tmp_path)


def test_validating_changes_nothing(whole: tuple[Path, Path], tmp_path: Path) -> None:
    data, undisturbed = whole
    run(data, tmp_path, validation=None)
    first, second = arrays(undisturbed), arrays(tmp_path)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_the_model_has_the_averaged_weights_at_the_end(
    whole: tuple[Path, Path], tmp_path: Path
) -> None:
    import demucs_tf

    data, undisturbed = whole
    mix = np.random.default_rng(0).normal(size=(1, 2, 999)).astype("float32")
    wanted = np.asarray(demucs_tf.load_model(undisturbed / "model.safetensors")(mix))
    resumed = run(data, undisturbed, resume=True)  # nothing is left to do
    np.testing.assert_array_equal(np.asarray(resumed(mix)), wanted)
    fresh = run(data, tmp_path)
    np.testing.assert_array_equal(np.asarray(fresh(mix)), wanted)


def test_dropout_depends_on_seed_and_epoch() -> None:
    import keras

    from demucs_tf.layers.base import Dropout
    from demucs_tf.training.callbacks import SeededDropout

    class Kept(keras.callbacks.Callback):
        """The losses, which tell what was dropped."""

        def __init__(self) -> None:
            super().__init__()
            self.losses: list[float] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.losses.append(logs["loss"])

    def losses(first: int, seed: int) -> list[float]:
        keras.utils.set_random_seed(first)
        model = keras.Sequential([Dropout(0.5), keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile(keras.optimizers.SGD(0.0), "mse")
        kept, x = Kept(), np.arange(64.0, dtype="float32").reshape(4, 16)
        model.fit(
            *(x, x[:, :1]),
            batch_size=2,
            shuffle=False,
            epochs=4,
            initial_epoch=first,
            callbacks=[SeededDropout(seed), kept],
            verbose=0,
        )
        return kept.losses

    whole = losses(0, 1)
    assert len(set(whole)) == 4
    assert losses(2, 1) == whole[2:]
    assert losses(2, 2) != whole[2:]
