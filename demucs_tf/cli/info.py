"""`demucs-tf info`: what a checkpoint holds."""

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

    found = locate(options.file)
    if any(file.path.suffix == ".keras" for file in found.files.values()):
        import_tensorflow(silent=not options.debug)
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


def _row(name: str, value: str) -> str:
    return f"{name:{_WIDTH}}{printable(value)}"


def _value(value: object) -> str:
    from fractions import Fraction

    return str(value) if isinstance(value, Fraction) else brief(value, _LONGEST)
