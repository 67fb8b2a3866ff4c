"""Graphs that are kept on disk: the same bits, and never one that does not belong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from demucs_tf.inference import engine
from demucs_tf.inference.engine import forward_function
from demucs_tf.inference.graphs import kept, session
from demucs_tf.inference.graphs.kept import Kept, keep_graphs
from demucs_tf.models.demucs import DemucsTF
from demucs_tf.models.htdemucs import HTDemucsTF
from tests.support.fakes import noise
from tests.support.tiny_models import TRANSFORMER

MIX = noise(1, 2, 3000).astype(np.float32)


def small(**changes: Any) -> DemucsTF:
    keras.utils.set_random_seed(0)
    arguments = {"channels": 4, "depth": 2, "lstm_layers": 0, **changes}
    return DemucsTF(["drums", "vocals"], **arguments)


def in_a_new_process(model: Any = None) -> Any:
    """A model's function, made where no graph is in memory."""
    engine._graphs.clear()
    return forward_function(small() if model is None else model)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with keep_graphs(tmp_path / "graphs"):
        yield tmp_path / "graphs"


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    models: list[object] = []
    trace = session.graph_of

    def watched(model: object, *how: Any) -> object:
        models.append(model)
        return trace(model, *how)

    monkeypatch.setattr(session, "graph_of", watched)
    return models


def test_the_next_process_traces_nothing_and_gives_the_same_bits(
    folder: Path, traced: list[object]
) -> None:
    first = in_a_new_process()(MIX)
    assert [path.suffix for path in folder.iterdir()] == [".graph"]
    assert len(traced) == 1
    second = in_a_new_process()(MIX)
    assert len(traced) == 1
    assert np.array_equal(first, second)
    assert np.allclose(second, small()(MIX), atol=1e-6)


def test_other_lengths_and_batches_take_the_same_graph(folder: Path, traced: list[object]) -> None:
    in_a_new_process()(MIX)
    run = in_a_new_process()
    for mix in (noise(1, 2, 1234), noise(3, 2, 2000)):
        mix = mix.astype(np.float32)
        np.testing.assert_allclose(run(mix), small()(mix), rtol=0, atol=1e-6)
    assert len(traced) == 1


def test_without_the_block_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_TF_CACHE", str(tmp_path))
    in_a_new_process()(MIX)
    assert not list(tmp_path.iterdir())


def test_other_arguments_types_and_lengths_are_other_graphs(tmp_path: Path) -> None:
    store = Kept(tmp_path)
    models = [small(), small(channels=6), small(gelu=False), small(dtype="float64")]
    keys = {store.key(model, length) for model in models for length in (None, 4000)}
    assert len(keys) == 8
    assert store.key(small(), None) == store.key(small(), None)


@pytest.mark.parametrize("what", ["_FORMAT", "VERSION", "_processor", "_settings", "_SOURCES"])
def test_what_a_graph_depends_on_is_in_its_name(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, store = small(), Kept(tmp_path)
    kept._made_by.cache_clear()
    before = store.key(model, None)
    value: Any = {"_FORMAT": -1, "VERSION": "0.0", "_SOURCES": ("layers",)}.get(what)
    monkeypatch.setattr(kept, what, value if value is not None else lambda: [["other"]])
    kept._made_by.cache_clear()
    assert store.key(model, None) != before
    monkeypatch.undo()
    kept._made_by.cache_clear()
    assert store.key(model, None) == before


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "not a graph"])
def test_a_damaged_file_is_made_anew(damage: str, folder: Path, traced: list[object]) -> None:
    first = in_a_new_process()(MIX)
    (path,) = folder.glob("*.graph")
    data = path.read_bytes()
    if damage == "not a graph":
        Kept(folder).put(path.stem, _no_graph())
    else:
        middle = len(data) // 2
        other = bytes([data[middle] ^ 1])
        changed = data[:middle] + other + data[middle + 1 :]
        path.write_bytes({"cut": data[:-9], "changed": changed, "empty": b""}[damage])
    assert np.array_equal(in_a_new_process()(MIX), first)
    assert len(traced) == 2
    assert Kept(folder).find(path.stem) is not None


def _no_graph() -> Any:
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.node.add(name="mix", op="Placeholder")
    return graph


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with keep_graphs(tmp_path / "graphs"):
        assert np.allclose(in_a_new_process()(MIX), small()(MIX), atol=1e-6)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "graphs").write_text("mine")
    with keep_graphs(tmp_path / "graphs"):
        assert np.allclose(in_a_new_process()(MIX), small()(MIX), atol=1e-6)
    assert (tmp_path / "graphs").read_text() == "mine"


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert np.allclose(in_a_new_process()(MIX), small()(MIX), atol=1e-6)
    assert not list(folder.iterdir())


def test_the_oldest_make_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MOST", 2)
    store = Kept(folder)
    for age, name in enumerate("dcba"):
        store.put(name, _no_graph())
        os.utime(folder / f"{name}.graph", (1e9 - age, 1e9 - age))
        assert store.find(name) is not None  # and has been used just now
        os.utime(folder / f"{name}.graph", (1e9 - age, 1e9 - age))
    store.put("e", _no_graph())
    assert sorted(path.stem for path in folder.iterdir()) == ["d", "e"]


def test_the_length_of_training_has_a_graph_of_its_own(folder: Path, traced: list[object]) -> None:
    model = HTDemucsTF(["drums", "vocals"], **TRANSFORMER)
    run = in_a_new_process(model)
    for length in (model.training_length, model.training_length - 100):
        mix = noise(1, 2, length).astype(np.float32)
        shift = np.zeros(1, np.int32)
        np.testing.assert_allclose(run(mix, shift), model(mix, shift=0), rtol=0, atol=1e-5)
    assert len(traced) == 2
    assert len(list(folder.glob("*.graph"))) == 2


def test_two_processes_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from tests.inference.test_kept_graphs import MIX, small\n"
        "from demucs_tf.inference.engine import forward_function\n"
        "from demucs_tf.inference.graphs.kept import keep_graphs\n"
        "from pathlib import Path\n"
        "with keep_graphs(Path(sys.argv[1])):\n"
        "    np.save(sys.argv[2], forward_function(small())(MIX))\n"
    )
    places = [tmp_path / f"{number}.npy" for number in range(2)]
    graphs = tmp_path / "graphs"
    started = [subprocess.Popen([sys.executable, "-c", code, graphs, place]) for place in places]
    assert [process.wait() for process in started] == [0, 0]
    first, second = map(np.load, places)
    assert np.array_equal(first, second)
    assert len(list(graphs.glob("*.graph"))) == 1
