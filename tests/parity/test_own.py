"""A user's own checkpoint: both sides are made from what our reader finds, and nothing is run."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from demucs_tf.errors import CheckpointError
from parity.__main__ import main
from parity.demucs.own import both_sides
from tests.checkpoints.formats.test_diffq_state import as_package, as_safetensors, packed_by_diffq
from tests.checkpoints.test_load import small_model, write_package
from tests.support.archives import Archive, Entry, two_directories
from tests.support.pickles import call, named, package, text

_ARGUMENTS = {"sources": ["a", "b"], "channels": 4, "depth": 2, "lstm_layers": 1}


def _saved(kind: str) -> dict[str, Any]:
    if kind == "diffq":
        options = {"group_size": 4, "min_size": 0.0005}
        return packed_by_diffq("Demucs", _ARGUMENTS, "DiffQuantizer", options)
    from demucs import demucs, states
    from omegaconf import OmegaConf

    module = demucs.Demucs(**_ARGUMENTS)
    saved: dict[str, Any] = states.serialize_model(module, OmegaConf.create({}), half=True)
    return {**saved, "kwargs": {**saved["kwargs"], "unknown": 1}}


@pytest.mark.live
@pytest.mark.filterwarnings("ignore:Dropping")
@pytest.mark.parametrize("kind", ["half precision", "diffq"])
def test_both_sides_are_what_the_references_loader_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from demucs import hf, states

    saved = _saved(kind)
    files = [as_package(tmp_path / "a.th", saved)]
    if kind == "diffq":
        files.append(as_safetensors(tmp_path / "a.safetensors", saved))
    for path in files:
        loader = states.load_model if path.suffix == ".th" else hf.load_safetensors_model
        wanted = loader(path).state_dict()
        with monkeypatch.context() as patch:
            for module in ("torch", "demucs.states", "demucs.hf"):
                for name in ("load", "load_model", "load_safetensors_model"):
                    patch.setattr(f"{module}.{name}", None, raising=False)
            ports, module = both_sides(path, ["float64"])
        found = module.state_dict()
        assert list(found) == list(wanted)
        assert all(found[key].equal(value) for key, value in wanted.items())
        assert ports["float64"].compute_dtype == "float64"


def _file_with_two_contents(folder: Path) -> tuple[Path, Path]:
    """A checkpoint that is sound to zipfile, and to PyTorch a pickle that makes a folder."""
    from demucs_tf.checkpoints.weights import read_state

    sign = folder / "it ran"
    path = write_package(folder / "a.th", read_state(small_model()))
    whole = Archive.of(path.read_bytes())
    whole.entries.append(Entry(b"archive/version", b"3\n"))  # PyTorch asks for it
    sound = whole.bytes()
    bad = Archive.of(sound)
    command = call(named("os", "mkdir"), text(str(sign)))
    bad.entries[0].data = package(klass=command).ljust(len(bad.entries[0].data), b" ")
    path.write_bytes(two_directories(sound, bad.bytes()))
    return path, sign


def test_a_file_with_two_contents_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, sign = _file_with_two_contents(tmp_path)
    with pytest.raises(CheckpointError, match="made to be read in two ways"):
        both_sides(path, ["float32"])
    audio = Path(__file__).parents[2] / "examples" / "piece.flac"
    assert main(["run", "--checkpoint", str(path), "--audio", str(audio)]) != 0
    assert "made to be read in two ways" in capsys.readouterr().err
    assert not sign.exists()


@pytest.mark.live
def test_it_would_run_in_the_references_loader(tmp_path: Path) -> None:
    """The control: without it, the file above could be one that nobody reads as it is meant."""
    states = importlib.import_module("demucs.states")
    path, sign = _file_with_two_contents(tmp_path)
    with pytest.raises(Exception, match=r"."):
        states.load_model(path)
    assert sign.is_dir()
