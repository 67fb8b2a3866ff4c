"""What an exported file says of itself: plain data, read and written without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from demucs_tf.errors import ExportError
from demucs_tf.export.checks import OF_A_BAG, OF_A_FILE
from demucs_tf.utils.text import brief
from demucs_tf.utils.version import VERSION

FORMAT = 1
UNKNOWN_LICENCE = "unknown: that of the checkpoint"


@dataclass(frozen=True)
class ValidLength:
    """The convolutions of a DemucsTF, which fit some lengths only."""

    depth: int
    kernel_size: int
    stride: int
    resample: bool

    def at_least(self, length: int) -> int:
        """The shortest length in samples >= `length` that leaves no step over.

        Reference: demucs/demucs.py::Demucs.valid_length
        """
        if self.resample:
            length *= 2
        for _ in range(self.depth):
            length = max(1, -(-(length - self.kernel_size) // self.stride) + 1)
        for _ in range(self.depth):
            length = (length - 1) * self.stride + self.kernel_size
        return -(-length // 2) if self.resample else length


@dataclass(frozen=True)
class Metadata:
    """What the users of one exported file have to know; `docs/exporting.md` has the format.

    Attributes:
        model: "DemucsTF", "HDemucsTF", "HTDemucsTF", or "BagOfModels" for a fused bag.
        sources: names of the stems, in the order of the output.
        samplerate: Hz.
        audio_channels: A.
        segment: samples of a chunk.
        length: samples of `mix` in the fixed signature; the chunk stands in their middle.
        weights: "float32", "float16" or "int8".
        weights_sha256: of the float32 weights that the export was made from.
        name: what the user calls the model.
        any_length: whether the file takes any T besides.
        valid_length: to which lengths a DemucsTF wants shorter chunks padded; None: to none.
        training_length: samples to which every chunk, however short, is padded; None: to none.
        licence: of the weights.
        checksum: SHA-256 of the file without these data; "" before it is known.
        demucs_tf: version of the package that wrote the file.
    """

    model: str
    sources: tuple[str, ...]
    samplerate: int
    audio_channels: int
    segment: int
    length: int
    weights: str
    weights_sha256: str
    name: str | None = None
    any_length: bool = False
    valid_length: ValidLength | None = None
    training_length: int | None = None
    licence: str = UNKNOWN_LICENCE
    checksum: str = ""
    demucs_tf: str = VERSION

    def to_json(self) -> bytes:
        """One JSON object, in UTF-8, with its keys in order."""
        return _encoded(self)

    @classmethod
    def from_json(cls, data: bytes) -> Metadata:
        """The inverse of `to_json`.

        Raises:
            ExportError: no such data, or data of another format; the path is the caller's to add.
        """
        values = _decoded(data, cls, OF_A_FILE)
        convolutions = values["valid_length"]
        if convolutions is not None:
            values["valid_length"] = ValidLength(**convolutions)
        found = cls(**{**values, "sources": tuple(values["sources"])})
        if found.length < found.segment:
            raise ExportError(
                f"expected a length of at least the segment of {found.segment} samples, found "
                f"{found.length}. {_AGAIN}"
            )
        return found


@dataclass(frozen=True)
class Member:
    """One file of a bag's folder, beside the manifest."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a bag's folder holds.

    Attributes:
        sources, samplerate, audio_channels, name, demucs_tf: as in `Metadata`.
        weights_table: for each member its weight for each source.
        members: in the order of the bag; a file may be there more than once.
        segment: samples of a chunk; None: the members' differ.
    """

    sources: tuple[str, ...]
    samplerate: int
    audio_channels: int
    weights_table: tuple[tuple[float, ...], ...]
    members: tuple[Member, ...]
    segment: int | None = None
    name: str | None = None
    model: str = "BagOfModels"
    demucs_tf: str = VERSION

    def to_json(self) -> bytes:
        """One JSON object, in UTF-8, with its keys in order."""
        return _encoded(self)

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """The inverse of `to_json`; raises as `Metadata.from_json`."""
        values = _decoded(data, cls, OF_A_BAG)
        rows = tuple(tuple(map(float, row)) for row in values["weights_table"])
        members = tuple(Member(**member) for member in values["members"])
        sources = tuple(values["sources"])
        if len(rows) != len(members) or any(len(row) != len(sources) for row in rows):
            raise ExportError(
                f"expected a weight for each of {len(members)} members and {len(sources)} "
                f"sources, found another table. {_AGAIN}"
            )
        changed = {"weights_table": rows, "members": members, "sources": sources}
        return cls(**{**values, **changed})


_AGAIN = "Export the model again."


def _encoded(data: Metadata | Manifest) -> bytes:
    content = {"format": FORMAT, **asdict(data)}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def _decoded(
    data: bytes, cls: type[Metadata] | type[Manifest], checks: Mapping[str, Callable[[Any], bool]]
) -> dict[str, Any]:
    try:
        content = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ExportError(f"expected JSON about the model, found none. {_AGAIN}") from error
    if not isinstance(content, dict) or "format" not in content:
        raise ExportError(f"expected a JSON object with a format, found none. {_AGAIN}")
    if type(content["format"]) is not int or content["format"] != FORMAT:
        raise ExportError(
            f"expected format {FORMAT}, found {brief(content['format'])}, written by demucs_tf "
            f"{brief(content.get('demucs_tf'))}; this is demucs_tf {VERSION}. {_AGAIN}"
        )
    for field in fields(cls):
        if field.name not in content:
            raise ExportError(f"expected {field.name!r} in the model's data, found none. {_AGAIN}")
        if not checks[field.name](content[field.name]):
            raise ExportError(
                f"expected another {field.name!r} in the model's data than "
                f"{brief(content[field.name])}. {_AGAIN}"
            )
    return {field.name: content[field.name] for field in fields(cls)}
