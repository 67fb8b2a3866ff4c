"""Separate one track into files that appear when all of them are whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from demucs_tf.audio.format import Format
from demucs_tf.audio.reader import open_audio
from demucs_tf.audio.tags import of_stem
from demucs_tf.audio.writer import StemWriter
from demucs_tf.inference.separator import Separator
from demucs_tf.tracks.source import KeptRate, Source
from demucs_tf.utils.quiet import quiet


def write_stems(
    separator: Separator,
    track: Path,
    paths: Iterable[Path],
    form: Format,
    place: Callable[[dict[Path, Path]], object],
    *,
    work: Path,
    keep_rate: bool = False,
    noisy: bool = False,
) -> Source:
    """Separate a track.

    Args:
        separator: what it is separated by.
        track: the file.
        paths: of the stems, in the order of `separator.stems`.
        form: of the files, without tags.
        place: is given for every path where its whole file lies now, in `work`.
        work: a folder for what is not whole yet.
        keep_rate: give the stems the track's sample rate, not the model's.
        noisy: let decoders print what they find odd.

    Returns:
        what was read: its rate, channels and length.

    Raises:
        AudioError, CheckpointError: see `Separator.stream`, and `StemWriter`.
        OSError: no room in `work`.
    """
    paths = list(paths)
    temporary = {path: work / f"{number}{path.suffix}" for number, path in enumerate(paths)}
    with ExitStack() as stack:
        stack.enter_context(np.errstate(over="ignore", invalid="ignore"))
        with quiet(unless=noisy):
            audio = stack.enter_context(open_audio(track))
        source = Source(audio, noisy=noisy)
        pieces = stack.enter_context(closing(separator.stream(source, work)))
        writers: dict[str, StemWriter | KeptRate] = {}
        for name, path in zip(separator.stems, paths, strict=True):
            file = StemWriter(
                temporary[path],
                source.rate if keep_rate else separator.samplerate,
                separator.audio_channels,
                replace(form, tags=of_stem(source.tags, name)),
                scratch=work,
                name=path,
            )
            writers[name] = KeptRate(file, separator, source) if keep_rate else file
            stack.enter_context(writers[name])
        for _, stems in pieces:
            for name, writer in writers.items():
                writer.write(stems[name])
    place(temporary)
    return source
