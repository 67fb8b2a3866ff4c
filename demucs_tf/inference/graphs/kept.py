"""Optimised graphs that are kept on disk, so that the next process need not make them.

What is kept is always another process's work, so everything that shaped it is in the key, and what
is missing, damaged or not writable is done without.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar
from dataclasses import astuple, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from demucs_tf.checkpoints.weights import Place
from demucs_tf.models.config import Config
from demucs_tf.utils import processor
from demucs_tf.utils.atomic import write_whole
from demucs_tf.utils.cache import cache_folder
from demucs_tf.utils.context import during
from demucs_tf.utils.runtime import import_runtime
from demucs_tf.utils.version import VERSION

_FORMAT = 2
# What a graph is made by: its files are part of the key, for those who change them.
_SOURCES = ("inference/graphs", "models", "blocks", "layers")
# Settings of TensorFlow and its libraries that change what it makes of a graph.
_SETTINGS = ("TF_", "ONEDNN_", "DNNL_", "XLA_")
_SILENT = ("TF_CPP_",)
_MOST = 32  # files of up to 8 MB
_log = logging.getLogger("demucs_tf")

_folder: ContextVar[Path | None] = ContextVar("demucs_tf_graphs", default=None)


def keep_graphs(folder: Path | None = None) -> AbstractContextManager[None]:
    """Look for graphs in a folder inside the block, and put new ones there.

    None is `graphs` in the cache folder of this package.

    For a process that runs models as they were loaded: a method or function of this package that
    was replaced in it would not be heard, or be kept.
    """
    return during(_folder, folder or cache_folder() / "graphs")


def kept() -> Kept | None:
    """Where graphs are kept; None outside of `keep_graphs`."""
    folder = _folder.get()
    return None if folder is None else Kept(folder)


@dataclass(frozen=True)
class Kept:
    """A folder of graphs, and of what has to be known to feed them.

    A file is a SHA-256 of the rest: a graph as a protocol buffer, or the places of the weights.
    """

    folder: Path

    def key(self, model: Any, length: int | None, precision: str = "float32") -> str:
        """Name everything that a graph for `length` samples (None: any) depends on."""
        kind = getattr(model, "port", type(model).__name__)
        what = [kind, model.config.to_dict(), model.compute_dtype, precision, length]
        return _name([*what, _traced_for()])

    def find(self, key: str) -> Any:
        """The graph of that name, a GraphDef; None: not there, or not whole."""
        data = self._read(f"{key}.graph")
        return None if data is None else import_runtime().GraphDef.FromString(data)

    def put(self, key: str, graph: Any) -> None:
        """Keep a graph, if there is room and it may be written."""
        self._write(f"{key}.graph", graph.SerializeToString(deterministic=True))

    def drop(self, key: str) -> None:
        """Let go of a graph that is of no use."""
        self._drop(f"{key}.graph")

    def find_places(self, kind: str, config: Config) -> list[Place] | None:
        """Where the weights of a model go, in the order in which its graphs take them."""
        data = self._read(_places_file(kind, config))
        if data is None:
            return None
        return [Place(key, tuple(shape), transform) for key, shape, transform in json.loads(data)]

    def put_places(self, kind: str, config: Config, places: Sequence[Place]) -> None:
        """Keep where the weights of a model go."""
        data = json.dumps([astuple(place) for place in places]).encode()
        self._write(_places_file(kind, config), data)

    def _read(self, name: str) -> bytes | None:
        path = self.folder / name
        try:
            data = path.read_bytes()
        except OSError:
            return None
        digest, rest = data[:32], data[32:]
        if hashlib.sha256(rest).digest() != digest:
            _log.debug("%s is damaged and will be made anew", path)
            self._drop(name)
            return None
        with suppress(OSError):
            os.utime(path)  # those longest unused go first
        return rest

    def _write(self, name: str, data: bytes) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with write_whole(self.folder / name) as temporary:
                temporary.write_bytes(hashlib.sha256(data).digest() + data)
            self._tidy(f"*{Path(name).suffix}")
        except OSError as error:
            _log.debug("%s is not kept: %s", name, error)

    def _drop(self, name: str) -> None:
        with suppress(OSError):
            (self.folder / name).unlink()

    def _tidy(self, kind: str) -> None:
        files = sorted(self.folder.glob(kind), key=lambda path: path.stat().st_mtime)
        for path in files[:-_MOST]:
            path.unlink(missing_ok=True)


def _places_file(kind: str, config: Config) -> str:
    # A bag may have given its members another segment, which moves no weight.
    rest = {name: value for name, value in config.to_dict().items() if name != "segment"}
    return f"{_name([kind, rest, _made_by()])}.places"  # before TensorFlow is imported


def _name(parts: list[Any]) -> str:
    text = json.dumps([_FORMAT, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def _made_by() -> list[Any]:
    """The code that makes a model, and what runs it."""
    package = Path(__file__).parents[2]
    files = sorted(path for each in _SOURCES for path in (package / each).glob("*.py"))
    code = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    python = ".".join(map(str, sys.version_info[:2]))
    return [VERSION, code, version("keras"), python]


def _traced_for() -> list[Any]:
    """The TensorFlow, its settings and the processor that a graph is for."""
    return [_made_by(), import_runtime().VERSION, _processor(), _settings()]


@cache
def _processor() -> list[str]:
    return [platform.machine(), platform.processor(), processor.described() or ""]


def _settings() -> list[list[str]]:
    return sorted(
        [name, value]
        for name, value in os.environ.items()
        if name.startswith(_SETTINGS) and not name.startswith(_SILENT)
    )
