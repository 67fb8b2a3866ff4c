"""The part of TensorFlow that runs graphs, imported without the rest of it.

All of TensorFlow takes more than twice as long, and 0.14 GB more: six of seven modules make graphs,
read data and train. A process that finds its graphs on disk needs none of them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from operator import attrgetter
from pathlib import Path
from threading import RLock
from typing import Any

from demucs_tf.utils.quiet import import_tensorflow, importing, is_whole

# Where TensorFlow's public names are defined. That is no promise of TensorFlow's: where one has
# moved, all of it is imported.
_CONFIG = "tensorflow.python.framework.config"
_PLACES = {
    "VERSION": ("tensorflow.python.framework.versions", "version.VERSION"),
    "Graph": ("tensorflow.python.framework.ops", "Graph"),
    "GraphDef": ("tensorflow.core.framework.graph_pb2", "compat.v1.GraphDef"),
    "import_graph_def": ("tensorflow.python.framework.importer", "import_graph_def"),
    "Session": ("tensorflow.python.client.session", "compat.v1.Session"),
    "ConfigProto": ("tensorflow.core.protobuf.config_pb2", "compat.v1.ConfigProto"),
    "RunOptions": ("tensorflow.core.protobuf.config_pb2", "compat.v1.RunOptions"),
    "RunMetadata": ("tensorflow.core.protobuf.config_pb2", "compat.v1.RunMetadata"),
    "InvalidArgumentError": (
        "tensorflow.python.framework.errors_impl",
        "errors.InvalidArgumentError",
    ),
    "device_v2": ("tensorflow.python.framework.ops", "device"),
    "list_logical_devices": (_CONFIG, "config.list_logical_devices"),
    "enable_tensor_float_32_execution": (
        _CONFIG,
        "config.experimental.enable_tensor_float_32_execution",
    ),
    **{
        f"{verb}_{kind}_op_parallelism_threads": (
            _CONFIG,
            f"config.threading.{verb}_{kind}_op_parallelism_threads",
        )
        for verb in ("get", "set")
        for kind in ("intra", "inter")
    },
}
# What reads more libraries into TensorFlow as it is imported: kernels, file systems, devices.
_PLUGINS = ("TF_PLUGGABLE_DEVICE_LIBRARY_PATH", "TF_USE_MODULAR_FILESYSTEM")


def import_runtime() -> Any:
    """What has TensorFlow's names in `_PLACES` as attributes; the rest of it need not be there.

    Whoever imports TensorFlow after that gets a module that runs when it is asked for a name.
    """
    with _LOCK:
        if "tensorflow" not in sys.modules and not _has_plugins():
            with suppress(ImportError, AttributeError), importing():
                _begin()
                _import_parts()
    return _RUNTIME


class _Runtime:
    def __getattr__(self, name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(name)
        place, public = _PLACES[name]
        if not is_whole():
            with suppress(KeyError, AttributeError):
                return getattr(sys.modules[place], name)
        return attrgetter(public)(import_tensorflow(keras=False))


_RUNTIME, _LOCK = _Runtime(), RLock()


def _has_plugins() -> bool:
    places = [Path(path, "tensorflow-plugins") for path in sys.path]
    places.append(_folder() / "core" / "kernels")
    return any(map(os.environ.get, _PLUGINS)) or any(place.exists() for place in places)


def _spec() -> ModuleSpec:
    spec = find_spec("tensorflow")
    if spec is None:
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
    return spec


def _folder() -> Path:
    return Path(_spec().origin or "").parent


def _begin() -> None:
    """Let there be a package whose modules can be imported, and which runs when it is needed."""
    spec, lock = _spec(), RLock()
    package, begun = module_from_spec(spec), False

    def whole(name: str) -> Any:
        nonlocal begun
        with lock:  # other threads wait
            if not begun and spec.loader is not None:
                begun = True
                spec.loader.exec_module(package)
                del vars(package)["__getattr__"]
            with suppress(KeyError):
                return vars(package)[name]
        raise AttributeError(f"module 'tensorflow' has no attribute {name!r}", name=name)

    vars(package)["__getattr__"] = whole
    sys.modules["tensorflow"] = package


def _import_parts() -> None:
    _read_library()
    os.environ["TF2_BEHAVIOR"] = "1"  # as the package does, first of all: eager, not version 1
    for name in dict.fromkeys(place for place, _ in _PLACES.values()):
        import_module(name)


def _read_library() -> None:
    """Read TensorFlow's library, and let other threads go on: an import of Python's holds them."""
    with suppress(OSError, AttributeError, TypeError):
        dlopen = ctypes.CDLL(None).dlopen
        for library in _folder().glob("libtensorflow_cc.*"):
            dlopen(os.fsencode(library), os.RTLD_NOW)
