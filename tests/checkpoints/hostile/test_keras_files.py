"""`.keras`: configurations that name code, entries, and what HDF5 can do besides arrays."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints.hostile.sound import Sound, check_refused
from tests.fuzz.watch import MB


def _config(change: Callable[[dict[str, Any]], Any]) -> Any:
    def make(entries: dict[str, bytes]) -> dict[str, bytes]:
        config = json.loads(entries["config.json"])
        text_of = json.dumps(change(config) or config)
        return {**entries, "config.json": text_of.encode()}

    return make


def _entry(name: str, content: bytes | None) -> Any:
    def make(entries: dict[str, bytes]) -> dict[str, bytes]:
        changed = {**entries, name: content}
        return {key: value for key, value in changed.items() if value is not None}

    return make


def _hdf5(change: Callable[[Any], None]) -> Any:
    """Change the file of the weights with HDF5's own library."""

    def make(entries: dict[str, bytes]) -> dict[str, bytes]:
        import h5py

        stream = io.BytesIO(entries["model.weights.h5"])
        with h5py.File(stream, "r+") as file:
            change(file)
        return {**entries, "model.weights.h5": stream.getvalue()}

    return make


_ARRAY = "encoder/sequential/layers/conv1d/vars/0"


def _swap(make: Callable[[Any], Any]) -> Any:
    """Put something else in the place of one array."""

    def change(file: Any) -> None:
        group, name = file[_ARRAY].parent, "0"
        old = file[_ARRAY]
        shape, values = old.shape, old[()]
        del group[name]
        make(_Place(group, name, shape, values))

    return _hdf5(change)


class _Place:
    def __init__(self, group: Any, name: str, shape: tuple[int, ...], values: Any) -> None:
        self.group, self.name, self.shape, self.values = group, name, shape, values


def _external_link(place: _Place) -> None:
    import h5py

    place.group[place.name] = h5py.ExternalLink("/etc/passwd", "/0")


def _soft_link(place: _Place) -> None:
    import h5py

    place.group[place.name] = h5py.SoftLink("/decoder")


def _external_storage(place: _Place) -> None:
    size = 4 * int(np.prod(place.shape))
    place.group.create_dataset(place.name, place.shape, "f4", external=[("/etc/passwd", 0, size)])


def _virtual(place: _Place) -> None:
    import h5py

    layout = h5py.VirtualLayout(place.shape, "f4")
    layout[...] = h5py.VirtualSource("/etc/passwd", "0", place.shape)
    place.group.create_virtual_dataset(place.name, layout)


def _many_groups(file: Any) -> None:
    for number in range(20_001):
        file.create_group(f"g{number}")


KERAS: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "another class": (
        _config(lambda c: c.update(class_name="Lambda")),
        "wanted a saved demucs_tf>",
    ),
    "a function": (
        _config(lambda c: c.update(class_name="function", registered_name="function", module="os")),
        "wanted a saved demucs_tf>",
    ),
    "a registered function": (
        _config(lambda c: c.update(registered_name="builtins>eval")),
        "wanted a saved demucs_tf>",
    ),
    "a class in a list": (_config(lambda c: c.update(class_name=["DemucsTF"])), "wanted a saved"),
    "a lambda as an argument": (
        _config(lambda c: c["config"].update(channels={"class_name": "__lambda__"})),
        "channels is not plain data",
    ),
    "a function as a type": (
        _config(
            lambda c: c["config"].update(
                dtype={"module": "os", "class_name": "function", "config": "system"}
            )
        ),
        "dtype is not plain data",
    ),
    "a type that is no floating point": (
        _config(lambda c: c["config"].update(dtype="int32")),
        "Keras can't read the model",
    ),
    "half precision": (
        _config(lambda c: c["config"].update(dtype="float16")),
        "Keras can't read the model",
    ),
    "unknown arguments": (_config(lambda c: c["config"].update(layers=[])), "not that of a"),
    "a name with a path": (
        _config(lambda c: c["config"].update(name="../../x")),
        "Keras can't read the model",
    ),
    "many small layers": (  # the fuzzer found it
        _config(lambda c: c["config"].update(dconv_depth=10, dconv_mode=3)),
        "describe a model of more than .* weights, and the file holds",
    ),
    "a huge model": (
        _config(lambda c: c["config"].update(channels=8192)),
        "describe a model of more than",
    ),
    "a deep configuration": (_entry("config.json", b"[" * 200_000), "nested too deeply|no JSON"),
    "a long configuration": (_entry("config.json", b" " * 2**21), "config.json is longer than"),
    "a configuration that is a list": (_entry("config.json", b"[]"), "config.json is no object"),
    "a key twice": (_entry("config.json", b'{"config": 1, "config": 2}'), "a key is there twice"),
    "NaN": (_config(lambda c: c["config"].update(growth=float("nan"))), "NaN is no number"),
    "no configuration": (_entry("config.json", None), "a zip archive with config.json"),
    "no weights": (_entry("model.weights.h5", None), "a zip archive with model.weights.h5"),
    "files to unpack": (_entry("assets/x/y.txt", b"x"), "entry assets/x/y.txt is none of"),
    "a path that leads out": (_entry("../x", b"x"), "is no plain path"),
    "weights that are a pickle": (_entry("model.weights.h5", b"\x80\x04N."), "weights are damaged"),
    "weights that are text": (_entry("model.weights.h5", b"x" * 9000), "damaged"),
    "weights of nothing": (_entry("model.weights.h5", b""), "damaged"),
    "a link to another file": (_swap(_external_link), "link elsewhere"),
    "a link inside": (_swap(_soft_link), "link elsewhere"),
    "numbers in another file": (_swap(_external_storage), "compressed or lies elsewhere"),
    "numbers of other arrays": (_swap(_virtual), "compressed or lies elsewhere"),
    "compressed numbers": (
        _swap(lambda p: p.group.create_dataset(p.name, data=p.values, compression="gzip")),
        "compressed or lies elsewhere",
    ),
    "an array without its numbers": (
        _swap(lambda p: p.group.create_dataset(p.name, (2**40,), "f4", fillvalue=1.0)),
        "weights add up to more than",
    ),
    "integers": (
        _swap(lambda p: p.group.create_dataset(p.name, data=np.zeros(p.shape, np.int32))),
        "is of int32, wanted floating point",
    ),
    "text": (
        _swap(lambda p: p.group.create_dataset(p.name, data="os.system")),
        "wanted floating point",
    ),
    "an empty array": (
        _swap(lambda p: p.group.create_dataset(p.name, dtype="f4")),
        "wanted floating point",
    ),
    "a group in place of an array": (_swap(lambda p: p.group.create_group(p.name)), "Keras can't"),
    "a type in place of an array": (
        _swap(lambda p: p.group.__setitem__(p.name, np.dtype("f4"))),
        "something else than arrays",
    ),
    "a group in itself": (
        _hdf5(lambda file: file["encoder"].__setitem__("again", file["/"])),
        "nested too deeply",
    ),
    "another shape": (
        _swap(lambda p: p.group.create_dataset(p.name, data=p.values[..., :1])),
        "Keras can't read the model",
    ),
    "an array too many": (
        _hdf5(lambda file: file["encoder"].create_dataset("more", data=np.zeros(3, "f4"))),
        r"expected \d+ arrays of weights, found \d+",
    ),
    "groups of nothing": (
        _hdf5(_many_groups),
        "too many groups",
    ),
    "a name of two lines": (
        _config(lambda c: c["config"].update(name="a\nb")),
        "its name is no name",
    ),
    "a missing array": (_swap(lambda p: None), "Keras can't read the model"),
    "NaN as weights": (
        _swap(lambda p: p.group.create_dataset(p.name, data=np.full_like(p.values, np.nan))),
        "weights with NaN or Inf",
    ),
}


def zipped(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", KERAS)
def test_a_hostile_keras_file(tmp_path: Path, sound: Sound, name: str) -> None:
    change, match = KERAS[name]
    check_refused(zipped(tmp_path / "a.keras", change(sound.keras)), match)


def test_a_keras_file_that_is_a_bomb(tmp_path: Path, sound: Sound) -> None:
    for name in ("config.json", "model.weights.h5", "metadata.json"):
        entries = {**sound.keras, name: bytes(50 * MB)}
        path = zipped(tmp_path / "a.keras", entries, zipfile.ZIP_DEFLATED)
        check_refused(path, "is compressed, which Keras never does")


def test_a_keras_file_with_an_entry_twice(tmp_path: Path, sound: Sound) -> None:
    path = zipped(tmp_path / "a.keras", sound.keras)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("config.json", b"{}")
    check_refused(path, "config.json is there twice")
