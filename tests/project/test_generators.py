"""Python's and NumPy's global generators are the user's: nothing of ours moves them.

But for what the reference draws from `random` as well: its shifts, where no seed is given.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demucs_tf
from tests.project.test_import import in_a_fresh_python

SMALL: dict[str, Any] = {"channels": 4, "depth": 2, "samplerate": 8000, "segment": 1}
HYBRID: dict[str, Any] = {**SMALL, "depth": 4, "nfft": 1024, "dconv_comp": 2}
TRANSFORMER: dict[str, Any] = {**SMALL, "nfft": 256, "dconv_comp": 2, "t_layers": 1, "t_heads": 2}
MIX = np.linspace(-0.5, 0.5, 2 * 9000, dtype=np.float32).reshape(2, 9000)


def small() -> Any:
    return demucs_tf.DemucsTF(["a", "b"], **{**SMALL, "lstm_layers": 1, "resample": False})


def made(folder: Path, suffix: str) -> Path:
    """A file of a small model, or of a bag of two."""
    path, model = folder / f"it{suffix}", small()
    if suffix == ".th":
        from demucs_tf.checkpoints.weights import read_state
        from tests.checkpoints.test_load import small_model, write_package

        return write_package(path, read_state(small_model()))
    demucs_tf.save_model(demucs_tf.BagOfModels([model] * 2) if suffix == ".yaml" else model, path)
    return path


def command(*arguments: str | Path) -> None:
    from demucs_tf.cli.main import main

    assert main([str(each) for each in arguments]) == 0


def separate(folder: Path, *options: str) -> None:
    song, model = folder / "song.wav", made(folder, ".keras")
    demucs_tf.save_audio(MIX, song, 8000)
    command("separate", song, "-n", model, "-o", folder, "--seed", "1", *options)


def convert(folder: Path) -> None:
    command("convert", made(folder, ".th"), folder / "out.safetensors")


def separator(folder: Path, **settings: Any) -> demucs_tf.Separator:
    return demucs_tf.Separator(made(folder, ".safetensors"), **settings)


def file(folder: Path) -> None:
    demucs_tf.save_audio(MIX, folder / "song.wav", 8000)
    separator(folder, seed=1, shifts=2).separate_file(folder / "song.wav")


def loads(suffix: str) -> Callable[[Path], Any]:
    return lambda folder: demucs_tf.load_model(made(folder, suffix))


def tells(suffix: str) -> Callable[[Path], Any]:
    return lambda folder: command("info", made(folder, suffix))


def applies(make: Callable[[], Any], **settings: Any) -> Callable[[Path], Any]:
    return lambda _: demucs_tf.apply_model(make(), MIX[None], **settings)


def saves(suffix: str) -> Callable[[Path], Any]:
    return lambda folder: demucs_tf.save_audio(MIX, folder / f"song{suffix}", 44100)


# In this order in a fresh Python, where the first of them imports TensorFlow.
ENTRIES: dict[str, Callable[[Path], Any]] = {
    "list_models": lambda _: demucs_tf.list_models(),
    "list_models of a folder": demucs_tf.list_models,
    "Separator": separator,
    "DemucsTF": lambda _: demucs_tf.DemucsTF(["a", "b"], **SMALL),
    "HDemucsTF": lambda _: demucs_tf.HDemucsTF(["a", "b"], **HYBRID),
    "HTDemucsTF": lambda _: demucs_tf.HTDemucsTF(["a", "b"], **TRANSFORMER),
    "a model called": lambda _: small()(MIX[None]),
    **{f"load_model {each}": loads(each) for each in (".safetensors", ".th", ".keras", ".yaml")},
    "save_model": lambda folder: [made(folder, each) for each in (".keras", ".yaml")],
    "separate_tensor": lambda folder: separator(folder, seed=1).separate_tensor(MIX, 11025),
    "separate_file": file,
    "update_parameter": lambda folder: separator(folder).update_parameter(shifts=0, segment=0.5),
    **{
        f"apply_model {engine}": applies(small, seed=2, shifts=2, engine=engine)
        for engine in ("auto", "eager")
    },
    "apply_model in threads": applies(small, seed=2, num_workers=2),
    "apply_model without shifts": applies(small, shifts=0),
    "apply_model of a bag": applies(lambda: demucs_tf.BagOfModels([small(), small()]), seed=0),
    "apply_model of a transformer": applies(
        lambda: demucs_tf.HTDemucsTF(["a", "b"], **TRANSFORMER, t_sin_random_shift=9), seed=0
    ),
    **{f"save_audio {each}": saves(each) for each in (".wav", ".flac", ".mp3")},
    "demucs-tf separate": separate,
    "demucs-tf separate --mp3": lambda folder: separate(folder, "--mp3", "--shifts", "2"),
    "demucs-tf convert": convert,
    "demucs-tf list": lambda _: command("list"),
    **{f"demucs-tf info {each}": tells(each) for each in (".th", ".keras", ".yaml")},
}


def moves(call: Callable[[Path], Any], folder: Path) -> bool:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    call(folder)
    return (random.getstate(), repr(np.random.get_state())) != before  # noqa: NPY002


def test_no_entry_moves_the_generators(tmp_path: Path) -> None:
    """In a fresh process: libraries draw from them when they are imported, with their first use."""
    code = (
        "import pathlib; from tests.project.test_generators import ENTRIES, moves\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "print([name for name, call in ENTRIES.items() if moves(call, folder)])"
    )
    assert in_a_fresh_python(code).splitlines()[-1] == "[]"


def test_every_public_name_is_among_them() -> None:
    """What has no entry of its own is an error, or a class that another entry uses."""
    used = " ".join(ENTRIES)
    names = {name for name in demucs_tf.__all__ if name not in used and "Error" not in name}
    assert names == {"BagOfModels", "__version__", "from_torch"}


# What is imported before, and what imports TensorFlow then.
DOORS = {
    "load_model .th": ("", "demucs_tf.load_model({th!r})"),
    "load_model .keras": ("", "demucs_tf.load_model({keras!r})"),
    "apply_model": (
        "from tests.support.fakes import FakeTF, noise",
        "demucs_tf.apply_model(FakeTF(), noise(1, 2, 99), seed=0)",
    ),
    "from_torch": (
        "from demucs.demucs import Demucs",
        "demucs_tf.from_torch(Demucs(['a', 'b'], channels=4, depth=1))",
    ),
}
LIVE = {"from_torch": pytest.mark.live}


@pytest.mark.parametrize("door", [pytest.param(x, marks=LIVE.get(x, ())) for x in DOORS])
def test_whatever_imports_tensorflow_leaves_them_alone(door: str, tmp_path: Path) -> None:
    before, call = DOORS[door]
    files = {suffix[1:]: str(made(tmp_path, suffix)) for suffix in (".th", ".keras")}
    code = (
        f"{before}\nimport random; random.seed(0); before = random.getstate()\n"
        f"import demucs_tf; {call.format(**files)}\n"
        "print(random.getstate() == before)"
    )
    assert in_a_fresh_python(code).splitlines()[-1] == "True"


@pytest.mark.parametrize("shifts", [0, 1, 3])
def test_without_a_seed_the_shifts_are_drawn_and_nothing_else(shifts: int, tmp_path: Path) -> None:
    model = separator(tmp_path)
    random.seed(0)
    wanted = random.Random(0)
    model.update_parameter(shifts=shifts)
    for _ in range(2):  # no track depends on a seed of its own
        model.separate_tensor(MIX)
        for _ in range(shifts):
            wanted.randint(0, 4000)
        assert random.getstate() == wanted.getstate()
