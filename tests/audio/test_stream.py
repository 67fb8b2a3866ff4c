"""Audio files read block by block."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from demucs_tf.audio import reader
from demucs_tf.audio.reader import AudioStream, open_audio, read_audio
from demucs_tf.errors import AudioError
from tests.support.fakes import Array, noise

FORMATS = [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_24"), ("ogg", None), ("mp3", None)]


def write(path: Path, wav: Array, subtype: str | None = None, rate: int = 44100) -> Path:
    soundfile.write(path, wav.T, rate, subtype=subtype)
    return path


@pytest.mark.parametrize(("suffix", "subtype"), FORMATS)
def test_blocks_join_to_what_is_read_at_once(
    tmp_path: Path, suffix: str, subtype: str | None
) -> None:
    path = write(tmp_path / f"a.{suffix}", noise(2, 600_001), subtype, 48000)
    at_once, rate = soundfile.read(path, dtype="float32", always_2d=True)
    with open_audio(path) as stream:
        assert isinstance(stream, AudioStream)
        assert (stream.path, stream.rate, stream.channels) == (path, 48000, 2)
        blocks = list(stream.blocks())
    assert [block.shape[1] for block in blocks] == [1 << 18, 1 << 18, 600_001 - (1 << 19)]
    assert all(block.dtype == np.float32 and block.flags.c_contiguous for block in blocks)
    joined = np.concatenate(blocks, axis=1)
    assert np.array_equal(joined, at_once.T)
    whole, found_rate = read_audio(path)
    assert (found_rate, rate) == (48000, 48000)
    assert whole.tobytes() == joined.tobytes()


def test_a_bad_sample_is_named_by_its_place_in_the_track(tmp_path: Path) -> None:
    wav = noise(2, 300_000)
    wav[1, 270_123] = np.nan
    path = write(tmp_path / "a.wav", wav, "FLOAT")
    with open_audio(path) as stream:
        blocks = stream.blocks()
        assert np.array_equal(next(blocks), wav[:, : 1 << 18])
        with pytest.raises(AudioError, match=r"a\.wav: .* the first at sample 270123"):
            next(blocks)


def test_a_cut_file_shows_at_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(2, 300_000), "FLOAT")
    path.write_bytes(path.read_bytes()[:-8])
    with open_audio(path) as stream:
        blocks = stream.blocks()
        assert next(blocks).shape[1] == 1 << 18
        with pytest.raises(AudioError, match="cut short: its header promises"):
            next(blocks)


def test_blocks_are_given_once(tmp_path: Path) -> None:
    with open_audio(write(tmp_path / "a.wav", noise(1, 10))) as stream:
        assert len(list(stream.blocks())) == 1
        with pytest.raises(ValueError, match="open it again"):
            stream.blocks()


def test_small_parts_are_joined_and_empty_ones_vanish() -> None:
    parts = [np.full((1, n), n, np.float32) for n in (0, 5, 0, reader.BLOCK, 3, 0)]
    found = [block.shape[1] for block in reader._joined(iter(parts))]
    assert found == [reader.BLOCK + 5, 3]
    assert not list(reader._joined(iter(parts[:1])))


def test_reading_takes_little_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.tile(noise(2, 100_000), 30), "PCM_16")
    tracemalloc.start()
    try:
        with open_audio(path) as stream:
            total = sum(block.shape[1] for block in stream.blocks())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 3_000_000, "24 MB in float32"
    assert peak < 8_000_000
