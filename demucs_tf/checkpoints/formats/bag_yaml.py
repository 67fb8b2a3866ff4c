"""The reference's `.yaml` files, which say what a bag is made of.

Such a file may come from anywhere, so it is held to what a bag needs: no aliases (a few lines of
them can stand for more text than fits in any memory), no tags, little depth and little text.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from demucs_tf.checkpoints.formats.untrusted import reading
from demucs_tf.errors import CheckpointError
from demucs_tf.models.bag import LEAST_WEIGHT, MOST_WEIGHT, Bag
from demucs_tf.models.ranges import LONGEST_SEGMENT, SHORTEST_SEGMENT, is_plain_name
from demucs_tf.utils.text import shown

# The largest published file has 170 bytes and four members.
_MAX_BYTES = 16 * 1024
_MAX_MEMBERS = 64
_MAX_DEPTH = 3
_WANTED = "a bag: a mapping with `models`, a list of signatures, and maybe `weights` and `segment`"


def read_bag(path: Path) -> Bag:
    """Read a bag's file.

    Raises:
        ModelNotFoundError: there is no such file.
        CheckpointError: the file is damaged, unsafe, or describes no bag.
    """
    with reading(path) as file:
        data = file.read(_MAX_BYTES + 1)
        try:
            return _bag(_plain_yaml(data))
        except CheckpointError:
            raise
        except Exception as error:  # a malformed file may fail anywhere
            raise CheckpointError(
                f"wanted {_WANTED}, found no readable YAML "
                f"({type(error).__name__}: {shown(str(error))})"
            ) from error


def bag_text(bag: Bag) -> str:
    """The YAML of a bag, from which `read_bag` and the reference make the same one."""
    content: dict[str, Any] = {"models": list(bag.models)}
    if bag.weights is not None:
        content["weights"] = [list(row) for row in bag.weights]
    if bag.segment is not None:
        content["segment"] = bag.segment
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None)


def _plain_yaml(data: bytes) -> object:
    if len(data) > _MAX_BYTES:
        raise CheckpointError(f"wanted {_WANTED}, found more than {_MAX_BYTES} bytes")
    text = data.decode("utf-8")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):  # a token at a time, nothing is built
        if isinstance(event, yaml.AliasEvent):
            raise CheckpointError("wanted a bag without YAML aliases (`*name`), found one")
        if getattr(event, "tag", None) is not None:
            raise CheckpointError("wanted a bag without YAML tags (`!name`), found one")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise CheckpointError(f"wanted {_WANTED}, found something nested more deeply")
    _check_keys(yaml.compose(text, Loader=yaml.SafeLoader))
    return yaml.safe_load(text)


def _check_keys(node: yaml.Node | None) -> None:
    """Refuse mappings of which readers may make different things: a key twice, or a merge."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item)
    elif isinstance(node, yaml.MappingNode):
        names = set()
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise CheckpointError("wanted a bag without YAML merges (`<<`), found one")
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    raise CheckpointError(f"wanted each key once, found `{shown(key.value)}` twice")
                names.add(key.value)
            _check_keys(value)


def _bag(content: object) -> Bag:
    if not isinstance(content, dict) or "models" not in content:
        raise CheckpointError(f"wanted {_WANTED}, found a {type(content).__name__} without it")
    models = _members(content["models"])
    return Bag(
        models,
        _weights(content.get("weights"), len(models)),
        _segment(content.get("segment")),
    )


def _members(models: object) -> tuple[str, ...]:
    if not isinstance(models, list) or not 1 <= len(models) <= _MAX_MEMBERS:
        count = f"{len(models)} of them" if isinstance(models, list) else type(models).__name__
        raise CheckpointError(f"wanted 1 to {_MAX_MEMBERS} signatures as `models`, found {count}")
    for name in models:
        if not isinstance(name, str):
            raise CheckpointError(
                f"wanted text as a signature, found {shown(name)} (a {type(name).__name__}). "
                "Put it in quotes"
            )
        if not is_plain_name(name):
            raise CheckpointError(
                f"wanted the signature of a model in the bag's folder, found '{shown(name)}'"
            )
    return tuple(models)


def _weights(weights: object, members: int) -> tuple[tuple[float, ...], ...] | None:
    if weights is None:
        return None
    if not isinstance(weights, list) or len(weights) != members:
        count = f"{len(weights)}" if isinstance(weights, list) else type(weights).__name__
        raise CheckpointError(
            f"wanted a row of `weights` for each of {members} models, found {count}"
        )
    for row in weights:
        if not isinstance(row, list) or not all(map(_is_number, row)):
            raise CheckpointError(
                "wanted rows of finite numbers as `weights`, found something else"
            )
        for weight in row:
            if weight and not LEAST_WEIGHT <= abs(weight) <= MOST_WEIGHT:
                raise CheckpointError(
                    f"wanted `weights` of 0 or from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}, found "
                    f"{shown(weight)}"
                )
        if len(row) != len(weights[0]):
            raise CheckpointError("wanted rows of `weights` of one length, found several lengths")
    return tuple(tuple(map(float, row)) for row in weights)


def _segment(segment: Any) -> float | None:
    if segment is None:
        return None
    if not _is_number(segment) or not SHORTEST_SEGMENT <= segment <= LONGEST_SEGMENT:
        raise CheckpointError(
            "wanted a number of seconds above 0 as `segment`, from "
            f"{SHORTEST_SEGMENT} to {LONGEST_SEGMENT}, "
            f"found {shown(segment)}"
        )
    return float(segment)


def _is_number(value: Any) -> bool:
    # A whole number of YAML can be too long for a float.
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)
