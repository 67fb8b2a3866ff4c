"""Separate a folder of songs on Ray, and ask the manifest what became of them.

    python examples/library.py songs separated -n htdemucs

On this machine; `--ray HOST:PORT` for a cluster. Run it again, and only what is missing is done.
"""

from __future__ import annotations

import argparse
import sys

from demucs_tf.audio.format import Format
from demucs_tf.cluster import separate_tracks


def main() -> int:
    """Separate, print a summary, and return 1 if a track failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("songs", help="a folder, a pattern, or an address of a store")
    parser.add_argument("out")
    parser.add_argument("-n", "--name", default="htdemucs")
    parser.add_argument("--repo")
    parser.add_argument("--ray", default="local", metavar="ADDRESS")
    options = parser.parse_args()
    results = separate_tracks(
        [options.songs],
        options.name,
        options.out,
        repo=options.repo,
        form=Format(".flac"),
        resume=True,
        seed=0,
        ray=options.ray,
        say=lambda text: print(text, file=sys.stderr),
    )
    rows = results.select_columns(["track", "status", "length", "took", "error"]).to_pandas()
    print(rows.groupby("status")[["length", "took"]].sum().round(1))
    failed = rows[rows["status"] == "failed"]
    print(*failed["error"], sep="\n")
    return int(len(failed) > 0)


if __name__ == "__main__":
    sys.exit(main())
