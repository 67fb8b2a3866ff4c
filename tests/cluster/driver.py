"""A driver that a test can kill: `python -m tests.cluster.driver ADDRESS REPO FOLDER [--resume]`.

Separates all of FOLDER/songs into FOLDER/many, prints the tracks as they are dealt with, and leaves
a file in FOLDER/starts for each attempt: the track, the attempt, the process.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from demucs_tf.cluster.api import folder_of, separate_rows
from demucs_tf.cluster.job import Job, Row
from demucs_tf.cluster.manifest import Entry
from demucs_tf.cluster.rows import gather
from demucs_tf.cluster.settings import ClusterSettings
from demucs_tf.cluster.worker import Worker
from demucs_tf.inference.settings import Settings

SECONDS = 0.7  # that a track takes more, so that there is something to kill


def main(address: str, repo: str, folder: str, *more: str) -> None:
    """Run until all is done."""

    class Watched(Worker):
        """Sent by value: a node does not have the tests."""

        def separate(self, row: Row, attempt: int) -> Any:
            start = Path(folder, "starts", f"{Path(row.address).stem} {attempt} {os.getpid()}")
            start.touch()
            if "poison" in row.address:
                os._exit(1)
            time.sleep(SECONDS)
            return super().separate(row, attempt)

    def finished(entries: list[Entry]) -> None:
        for entry in entries:
            print(Path(entry.track).stem, entry.status, flush=True)

    job = Job(
        name="tiny",
        repo=Path(repo),
        settings=Settings(seed=3),
        out=folder_of(f"{folder}/many", "tiny"),
        resume="--resume" in more,
    )
    separate_rows(
        gather([f"{folder}/songs"]),
        job,
        ClusterSettings(ray=address, ray_actors=1),
        finished,
        lambda text: print(text, file=sys.stderr, flush=True),
        worker=Watched,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
