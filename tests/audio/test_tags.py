"""Tags on their way from a track to its stems, read back by another tool than wrote them."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf.audio import ffmpeg
from demucs_tf.audio.format import Format
from demucs_tf.audio.reader import open_audio, read_audio
from demucs_tf.audio.tags import NAMES, cleaned, of_stem
from demucs_tf.audio.writer import encode_audio
from demucs_tf.errors import AudioError
from tests.support.fakes import noise

av: Any = pytest.importorskip("av", reason="makes the files; in the extra `dev`")

RATE = 44100
TAGS = {
    "title": "Élan; = \\ 愛",
    "artist": "Someone, and others",
    "album": "A/B",
    "tracknumber": "7",
    "date": "1999",
    "genre": "Folk",
}
# FFmpeg's container and encoder of each kind of file that is read.
KINDS = {
    "a.wav": ("wav", "pcm_s16le"),
    "a.flac": ("flac", "flac"),
    "a.opus": ("ogg", "libopus"),
    "a.mp3": ("mp3", "libmp3lame"),
    "a.aiff": ("aiff", "pcm_s16be"),
    "a.m4a": ("ipod", "aac"),
    "a.mkv": ("matroska", "flac"),
    "a.wma": ("asf", "wmav2"),
}
# FFmpeg calls the track number IPRT in a WAV, and puts most of an AIFF's into ID3.
LOST = {"a.wav": {"tracknumber"}, "a.aiff": set(TAGS) - {"title"}}
WRITTEN = [".wav", ".flac", ".mp3"]


def tagged(path: Path, tags: dict[str, str]) -> Path:
    """A file that FFmpeg writes."""
    container, codec = KINDS[path.name]
    with av.open(str(path), "w", format=container) as file:
        file.metadata.update({NAMES[name].ffmpeg: text for name, text in tags.items()})
        stream = file.add_stream(codec, rate=48000 if codec == "libopus" else RATE, layout="stereo")
        stream.bit_rate = 128000
        kind = stream.codec_context.format
        samples = noise(2, 30000)
        if kind.packed.name != "flt":
            samples = (samples * 2.0 ** (8 * kind.bytes - 3)).astype(f"i{kind.bytes}")
        packed = samples if kind.is_planar else samples.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), kind.name, "stereo")
        frame.sample_rate, frame.pts = stream.rate, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return path


def told_by_ffmpeg(path: Path) -> dict[str, str]:
    with av.open(str(path)) as file:
        metadata = {**file.streams[0].metadata, **file.metadata}
    found = {key.lower(): text for key, text in metadata.items()}
    return {name: found[own.ffmpeg] for name, own in NAMES.items() if own.ffmpeg in found}


def written(path: Path, tags: dict[str, str]) -> bytes:
    form = replace(Format(path.suffix), tags=tags)
    path.write_bytes(encode_audio(noise(2, 30001), RATE, form))
    return path.read_bytes()


@pytest.mark.parametrize("tool", ["av", "ffmpeg"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_tags_of_a_track(
    kind: str, tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tagged(tmp_path / kind, TAGS)
    if tool == "ffmpeg":
        monkeypatch.setattr("demucs_tf.audio.pyav.find_av", lambda: None)
        assert ffmpeg.find_ffmpeg() is not None
    with open_audio(path) as audio:
        assert audio.tags == {k: v for k, v in TAGS.items() if k not in LOST.get(kind, ())}


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("kind", KINDS)
def test_a_stem_has_them(kind: str, suffix: str, tmp_path: Path) -> None:
    with open_audio(tagged(tmp_path / kind, TAGS)) as audio:
        tags = of_stem(audio.tags, "vocals")
    path = tmp_path / f"stem{suffix}"
    assert written(path, tags) == written(path, tags)
    wanted = {k: v for k, v in TAGS.items() if k not in LOST.get(kind, ())}
    assert told_by_ffmpeg(path) == {**wanted, "title": "Élan; = \\ 愛 (vocals)"}
    with open_audio(path) as audio:
        assert audio.tags == told_by_ffmpeg(path)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_samples_are_the_same_with_tags(suffix: str, tmp_path: Path) -> None:
    path, plain = tmp_path / f"tags{suffix}", tmp_path / f"plain{suffix}"
    assert len(written(path, TAGS)) > len(written(plain, {}))
    assert np.array_equal(read_audio(path)[0], read_audio(plain)[0])
    assert told_by_ffmpeg(plain).keys() <= {"title"} - {"title"}


def test_a_wav_counts_all_its_chunks(tmp_path: Path) -> None:
    data = written(tmp_path / "a.wav", {"title": "odd"})
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert not len(data) % 2


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({}, {}),
        ({"title": "", "artist": None, "album": b"x", "comment": "no"}, {}),
        ({"title": " a\x1b[31m\n\0b\u202e "}, {"title": "a [31m  b"}),
        ({"title": "\ud800x"}, {"title": "x"}),
        ({"genre": "é" * 10**6}, {"genre": "é" * 300}),
    ],
)
def test_texts_that_nobody_vouches_for(found: Any, wanted: dict[str, str]) -> None:
    assert cleaned(found) == wanted


def test_the_name_of_the_stem_is_added_where_there_are_tags() -> None:
    assert of_stem({"title": "Song", "date": "1"}, "bass") == {"title": "Song (bass)", "date": "1"}
    assert of_stem({"artist": "X"}, "bass") == {"artist": "X", "title": "bass"}
    assert of_stem({}, "bass") == {}  # the file is what it is without this


@pytest.mark.parametrize("kind", ["a.m4a", "a.mkv", "a.wma", "a.mp3", "a.flac", "a.wav"])
def test_broken_tags_stop_nothing(kind: str, tmp_path: Path) -> None:
    path = tagged(tmp_path / kind, {"title": "TITLETITLE", "artist": "ARTISTARTIST"})
    samples, data = read_audio(path)[0], path.read_bytes()
    wide = kind == "a.wma"
    title = "TITLETITLE".encode("utf-16-le" if wide else "ascii")
    assert title in data
    path.write_bytes(data.replace(title, (b"\0\xd8" if wide else b"\xff\xfe") * (len(title) // 2)))
    with open_audio(path) as audio:
        assert audio.tags["artist"] == "ARTISTARTIST"
        assert audio.tags.get("title", "").isprintable()
        assert np.array_equal(np.concatenate(list(audio.blocks()), axis=1), samples)


def test_a_seek_that_can_not_be_is_an_audio_error(tmp_path: Path) -> None:
    """The header of an ASF says how long it is; FFmpeg looks for an index there."""
    path = tagged(tmp_path / "a.wma", {})
    data, errors = path.read_bytes(), []
    for place in range(24, 140):
        path.write_bytes(data[:place] + b"\xff" * 8 + data[place + 8 :])
        try:
            read_audio(path)
        except AudioError as error:
            errors.append(error)
    assert any(type(error.__cause__) is OSError for error in errors)
