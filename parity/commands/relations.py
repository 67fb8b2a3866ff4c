"""`python -m parity relations`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parity.commands.outputs import written

SECONDS = 0.4


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "relations", help="what must hold of a model by itself, without a reference"
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a .th, .safetensors, .keras or .yaml file, or a name"
    )
    parser.add_argument("--repo", metavar="DIR", help="where to look for names")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="one relation; may be repeated"
    )
    parser.add_argument("--dtype", choices=["float32", "float64", "both"], default="both")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"of music (default {SECONDS:g})"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Try the relations on each member; 1 if one does not hold."""
    import demucs_tf
    from parity import relations
    from parity.core.files.atomic import write_whole
    from parity.core.files.json_file import text_of
    from parity.report.columns import columns

    dtypes = ("float64", "float32") if options.dtype == "both" else (options.dtype,)
    found = {}
    for name, model in _members(demucs_tf.load_model(options.model, repo=options.repo)):
        found[name] = relations(
            model,
            only=options.only,
            dtypes=dtypes,
            seconds=options.seconds,
            seed=options.seed,
        )
        rows = [
            (
                r.verdict.upper(),
                name,
                r.name,
                r.dtype,
                _number(r.error),
                _number(r.bound),
                r.sentence,
            )
            for r in found[name]
        ]
        print("\n".join(columns(rows)), flush=True)
    words = [str(relation.verdict) for each in found.values() for relation in each]
    print(*(f"{words.count(word)} {told}" for word, told in _TOLD.items()), sep=", ")
    if options.json:
        plain = {name: [asdict(relation) for relation in each] for name, each in found.items()}
        with written(options.json):
            write_whole(options.json, text_of(plain, indent=1) + "\n")
    return 1 if "fail" in words else 0


_TOLD = {"pass": "hold", "fail": "do not", "not decided": "not decided"}


def _members(model: Any) -> Iterator[tuple[str, Any]]:
    members = getattr(model, "models", None)
    if members is None:
        yield type(model).__name__, model
        return
    for index, member in enumerate(members):
        yield f"member {index}", member


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"
