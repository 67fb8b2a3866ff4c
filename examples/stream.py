"""Separate a track of any length piece by piece: what `demucs-tf separate` does, in Python.

Memory does not grow with the track: it is read, separated and written as a stream. A callback hears
of every chunk; raising KeyboardInterrupt there would stop, and leave no half-written file.

    python examples/stream.py song.flac --name htdemucs --out stems
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import demucs_tf
from demucs_tf.audio.reader import open_audio
from demucs_tf.audio.writer import StemWriter


def main() -> None:
    """Read the command line, separate one track."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("track", type=Path)
    parser.add_argument(
        "--name", default="htdemucs", help="a published name or a checkpoint's path"
    )
    parser.add_argument("--out", type=Path, default=Path("stems"), metavar="DIR")
    options = parser.parse_args()
    separator = demucs_tf.Separator(options.name, seed=0, callback=tell)
    options.out.mkdir(parents=True, exist_ok=True)
    separate(separator, options.track, options.out)


def tell(place: dict[str, Any]) -> None:
    """Print where the separation is."""
    if place["state"] == "end":
        print(f"{min(1, place['segment_offset'] / place['audio_length']):4.0%}", flush=True)


def separate(separator: demucs_tf.Separator, track: Path, out: Path) -> None:
    """Write one FLAC file for each stem."""
    with tempfile.TemporaryDirectory(dir=out) as work, ExitStack() as stack:
        scratch = Path(work)
        audio = stack.enter_context(open_audio(track))
        rate, channels = separator.samplerate, separator.audio_channels
        writers = {
            name: StemWriter(scratch / f"{name}.flac", rate, channels, scratch=scratch)
            for name in separator.stems
        }
        for writer in writers.values():
            stack.enter_context(writer)
        for _, stems in separator.stream(audio, scratch):
            for name, block in stems.items():
                writers[name].write(block)
        for name, writer in writers.items():
            writer.close()
            (scratch / f"{name}.flac").replace(out / f"{name}.flac")
            print(out / f"{name}.flac")


if __name__ == "__main__":
    main()
