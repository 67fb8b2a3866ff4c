"""`demucs-tf info`: what a checkpoint or an exported file holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from demucs_tf.cli.options import InfoOptions
from demucs_tf.utils.quiet import import_tensorflow
from demucs_tf.utils.text import brief, printable, shown

if TYPE_CHECKING:
    from demucs_tf.checkpoints.describe import Description
    from demucs_tf.checkpoints.locate import Located
    from demucs_tf.export.metadata import Metadata
    from demucs_tf.models.bag import Bag

_WIDTH = 12
_LONGEST = 200


def run(options: InfoOptions) -> int:
    """Print it.

    Raises:
        DemucsTFError: the file is missing, damaged or unsafe.
    """
    from demucs_tf.checkpoints.describe import describe
    from demucs_tf.checkpoints.locate import locate
    from demucs_tf.runtimes.load import exported_path

    exported = exported_path(options.file)
    if exported is not None:
        print(*_about_exported(exported), sep="\n")
        return 0
    found = locate(options.file)
    if any(file.path.suffix == ".keras" for file in found.files.values()):
        import_tensorflow()
    described = {name: describe(file.path) for name, file in found.files.items()}
    if found.bag is None:
        (description,) = described.values()
        lines = [*_about_file(options.file), *_about(description)]
    else:
        lines = [*_about_file(options.file), *_about_bag(found, found.bag, described)]
    print(*lines, sep="\n")
    return 0


def _about_file(path: Path) -> Iterator[str]:
    from demucs_tf.checkpoints.sources.checksums import sha256

    yield _row("file", str(path))
    yield _row("sha256", sha256(path))


def _about(description: Description) -> Iterator[str]:
    yield _row("class", description.klass)
    yield _row("sources", ", ".join(map(shown, description.sources)))
    yield _row("sample rate", f"{_value(description.samplerate)} Hz")
    yield _row("segment", f"{_value(description.segment)} s")
    yield _row("weights", _weights(description))
    yield "arguments"
    for name, value in sorted(description.arguments.items()):
        yield f"  {shown(name)} = {_value(value)}"


def _weights(description: Description) -> str:
    if description.packed:
        return "packed by diffq"
    return f"{description.weights:,} numbers, {description.dtype}"


def _about_bag(found: Located, bag: Bag, described: dict[str, Description]) -> Iterator[str]:
    sources = next(iter(described.values())).sources
    yield _row("bag of", f"{len(bag.models)} models")
    yield _row("sources", ", ".join(map(shown, sources)))
    yield _row("segment", "the models' own" if bag.segment is None else f"{bag.segment:g} s")
    for place, member in enumerate(bag.models):
        description = described[member]
        yield ""
        yield _row("model", member)
        yield _row("  file", found.files[member].path.name)
        yield _row("  class", description.klass)
        yield _row("  weights", _weights(description))
        if bag.weights is not None:
            rows = zip(sources, bag.weights[place], strict=False)
            yield _row("  counts", ", ".join(f"{shown(name)} {weight:g}" for name, weight in rows))


def _about_exported(path: Path) -> Iterator[str]:
    from demucs_tf.export.files import MANIFEST, read_manifest, read_metadata

    yield _row("exported", str(path))
    if not (path / MANIFEST).is_file():
        yield from _of_metadata(read_metadata(path))
        return
    manifest = read_manifest(path)
    yield _row("written by", f"demucs_tf {manifest.demucs_tf}")
    yield _row("name", manifest.name or "none")
    yield _row("bag of", f"{len(manifest.members)} models")
    yield _row("sources", ", ".join(manifest.sources))
    for member, weights in zip(manifest.members, manifest.weights_table, strict=True):
        rows = zip(manifest.sources, weights, strict=True)
        yield ""
        yield _row("model", member.file)
        yield _row("counts", ", ".join(f"{name} {weight:g}" for name, weight in rows))
        yield from _of_metadata(read_metadata(path / member.file))


def _of_metadata(metadata: Metadata) -> Iterator[str]:
    rate, more = metadata.samplerate, metadata.length - metadata.segment
    shorter = "or of any length" if metadata.any_length else "and of no other length"
    yield _row("written by", f"demucs_tf {metadata.demucs_tf}")
    yield _row("name", metadata.name or "none")
    yield _row("class", metadata.model)
    yield _row("sources", ", ".join(metadata.sources))
    yield _row("sample rate", f"{rate} Hz")
    yield _row("channels", str(metadata.audio_channels))
    yield _row("segment", f"{metadata.segment / rate:g} s, {metadata.segment:,} samples")
    yield _row("input", f"{metadata.length:,} samples, {more} of them around it, {shorter}")
    yield _row("weights", f"{metadata.weights}, made of {metadata.weights_sha256[:16]}...")
    yield _row("licence", metadata.licence)
    yield _row("checksum", metadata.checksum)


def _row(name: str, value: str) -> str:
    return f"{name:{_WIDTH}}{printable(value)}"


def _value(value: object) -> str:
    from fractions import Fraction

    return str(value) if isinstance(value, Fraction) else brief(value, _LONGEST)
