"""From the name of a model to its files on this machine, downloaded if need be."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from demucs_tf.checkpoints.assemble import READERS
from demucs_tf.checkpoints.formats.bag_yaml import read_bag
from demucs_tf.checkpoints.sources import embedded, folder, hub, legacy_host
from demucs_tf.checkpoints.sources.downloads import ModelFile
from demucs_tf.checkpoints.sources.folder import not_there
from demucs_tf.checkpoints.sources.published import BAGS, LEGACY_FILES, bag_with
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from demucs_tf.models.bag import Bag
from demucs_tf.utils.text import reason_of, shown

_log = logging.getLogger("demucs_tf")
_EXPORTED = (".tflite", ".onnx")


@dataclass(frozen=True)
class Located:
    """The files of a model.

    Attributes:
        name: what was asked for.
        files: signature (of a single file: its path) -> file, each once.
        bag: how they are put together; None: there is one file, which is the model.
    """

    name: str
    files: dict[str, ModelFile]
    bag: Bag | None = None


def locate(
    source: str | PathLike[str],
    repo: str | PathLike[str] | None = None,
    *,
    allow_legacy: bool = False,
) -> Located:
    """Find a model's files; the arguments and errors are those of `load_model`.

    Nothing of what the models hold is read, only the `.yaml` of a bag and checksums.
    """
    name = fspath(source)
    if isinstance(source, str) and name.startswith(hub.PREFIX):
        return _from_hub(name, *hub.split_address(name))
    if not isinstance(source, str) or _names_a_file(name):
        return _from_file(Path(name))
    if repo is not None:
        return _from_folder(name, folder.scan(Path(repo)))
    if name == embedded.NAME:
        return Located(name, {name: ModelFile(embedded.path())})
    return _published(name, allow_legacy)


def _names_a_file(name: str) -> bool:
    return Path(name).suffix in (*READERS, *_EXPORTED, ".yaml") or bool(set(name) & set("/\\"))


def _from_file(path: Path) -> Located:
    name = str(path)
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelNotFoundError(
            f"{path}: no such file. Check the path of the checkpoint."
        ) from error
    except (OSError, ValueError) as error:  # a closed folder, a name that is none
        raise ModelNotFoundError(f"{path}: it can't be opened ({reason_of(error)}).") from error
    if path.suffix == ".yaml":
        bag = read_bag(path)
        return _bag_in(folder.scan(path.parent), name, bag)
    if path.suffix in _EXPORTED:
        raise CheckpointError(
            f"{path}: wanted a checkpoint, found an exported file, which can't be made one again: "
            "give the checkpoint that it was exported from."
        )
    if path.suffix not in READERS:
        kinds = ", ".join((*READERS, ".yaml"))
        raise CheckpointError(f"{path}: wanted a file of the kinds {kinds}.")
    return Located(name, {name: ModelFile(path)})


def _from_folder(name: str, models: folder.Folder) -> Located:
    # Reference: demucs/repo.py::AnyModelRepo, where a model goes before a bag.
    if name in models.models:
        return Located(name, {name: ModelFile(models.model(name))})
    if name not in models.bags:
        raise not_there(name, {**models.bags, **models.models}, f"{models.root} has no model")
    return _bag_in(models, name, read_bag(models.bags[name]))


def _bag_in(models: folder.Folder, name: str, bag: Bag) -> Located:
    try:
        files = {member: ModelFile(models.model(member)) for member in dict.fromkeys(bag.models)}
    except ModelNotFoundError as error:
        raise ModelNotFoundError(f"{name}: a member of the bag is missing: {error}") from error
    return Located(name, files, bag)


def _published(name: str, allow_legacy: bool) -> Located:
    if name not in BAGS and name not in LEGACY_FILES:
        hint = "Other models: a file, a folder with --repo (repo), or hf://NAMESPACE/NAME."
        raise not_there(name, [embedded.NAME, *BAGS, *LEGACY_FILES], "No published model", hint)
    tries: list[Callable[[], Located]] = [lambda: _published_on_hub(name)]
    if allow_legacy:
        tries.append(lambda: _from_legacy(name))
    failures: list[ModelNotFoundError | CheckpointError] = []
    for attempt in tries:
        if failures:
            _log.warning("%s. Trying the legacy host.", failures[-1])
        try:
            return attempt()
        except (ModelNotFoundError, CheckpointError) as error:
            failures.append(error)
    raise _nothing_worked(name, failures, allow_legacy) from failures[-1]


def _published_on_hub(name: str) -> Located:
    if name in BAGS:
        found = _from_hub(name, hub.repository(name), name)
        if found.bag != BAGS[name]:
            _log.warning(
                "%s on the hub is not the bag that was published under this name: it is %s, and "
                "was %s. The hub's is used.",
                name,
                found.bag,
                BAGS[name],
            )
        return found
    file = hub.download(hub.repository(bag_with(name)), f"{name}.safetensors")
    return Located(name, {name: file})


def _from_hub(name: str, repository: str, bag_name: str) -> Located:
    file = hub.download(repository, f"{bag_name}.yaml")
    with file.being_read() as path:
        bag = read_bag(path)
    members = dict.fromkeys(bag.models)
    files = {member: hub.download(repository, f"{member}.safetensors") for member in members}
    return Located(name, files, bag)


def _from_legacy(name: str) -> Located:
    bag = BAGS.get(name)
    members = dict.fromkeys(bag.models if bag else [name])
    return Located(name, {member: legacy_host.download(member) for member in members}, bag)


def _nothing_worked(
    name: str, failures: list[ModelNotFoundError | CheckpointError], allow_legacy: bool
) -> ModelNotFoundError | CheckpointError:
    tried = "; ".join(str(failure).rstrip(".") for failure in failures)
    advice = [
        "Check the network",
        "give a folder with the files (--repo, repo)",
        *(
            []
            if allow_legacy
            else ["allow the .th packages of the legacy host (--allow-legacy, allow_legacy=True)"]
        ),
    ]
    offline = f"Without a network there is {embedded.NAME!r} (-n demo): {embedded.WORTH}"
    damaged = any(isinstance(failure, CheckpointError) for failure in failures)
    cls = CheckpointError if damaged else ModelNotFoundError
    todo = ", or ".join(advice)
    return cls(f"{shown(name)}: no source has given it. Tried: {tried}. {todo}. {offline}.")


def list_models(repo: str | PathLike[str] | None = None) -> dict[str, dict[str, str | Path]]:
    """List the published models, or those of a folder.

    Args:
        repo: a folder of models, as in `load_model`. None: the published models.

    Returns:
        "single": signature -> file of the folder, or address of the published `.th` package;
        "bag": name -> file of the folder, or address on the hub.

    Raises:
        ModelNotFoundError: there is no such folder.
        CheckpointError: the folder has two files for one signature.

    Reference: demucs/api.py::list_models
    """
    if repo is not None:
        models = folder.scan(Path(repo))
        return {"single": {**models.models}, "bag": {**models.bags}}
    return {
        "single": {signature: legacy_host.ROOT + file for signature, file in LEGACY_FILES.items()},
        "bag": {name: f"{hub.PREFIX}{hub.NAMESPACE}/{name}" for name in BAGS},
    }
