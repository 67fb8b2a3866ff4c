"""Audio files in and out, channels and rates."""

from __future__ import annotations

import errno
import importlib
import os
import resource
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from demucs_tf import Separator
from demucs_tf.audio.convert import convert_channels, resample
from demucs_tf.audio.format import Format
from demucs_tf.audio.reader import read_audio
from demucs_tf.audio.writer import prevent_clip, save_audio
from demucs_tf.errors import AudioError
from parity.core.compare import snr_db
from tests.support.fakes import FakeTF, noise

RATES = (8000, 11025, 16000, 22050, 32000, 48000, 47952, 88200, 96000, 192000)


def tone(rate: int, seconds: float, hertz: float = 440.0) -> Any:
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


# --- resampling ---------------------------------------------------------------------------


@pytest.mark.live
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("length", [1, 2, 999, 10007])
def test_resample_equals_julius(rate: int, length: int) -> None:
    julius = importlib.import_module("julius")
    import torch

    wav = noise(2, length)
    for old, new in ((rate, 44100), (44100, rate)):
        wanted = julius.resample_frac(torch.from_numpy(wav), old, new).numpy()
        found = resample(wav, old, new)
        assert found.dtype == np.float32
        assert found.shape == wanted.shape
        assert wanted.size == 0 or snr_db(found, wanted) > 120


@pytest.mark.live
def test_resample_in_several_blocks_equals_julius() -> None:
    julius = importlib.import_module("julius")
    import torch

    wav = noise(1, 4 * 192000)  # 862 taps: 4,865 windows a block, 1,200 outputs of 147 each
    wav = np.tile(wav, 5)
    wanted = julius.resample_frac(torch.from_numpy(wav), 192000, 44100).numpy()
    assert snr_db(resample(wav, 192000, 44100), wanted) > 120


@pytest.mark.live
def test_long_tracks_have_julius_length() -> None:
    julius = importlib.import_module("julius")
    import torch

    wav = np.zeros((1, 11_184_813), np.float32)  # exactly 16,777,219.5 samples, past 2**24
    wanted = julius.resample_frac(torch.from_numpy(wav), 2, 3).shape
    assert wanted[-1] == 16_777_220, "the quirk is gone: the true floor is 16,777,219"
    assert resample(wav, 2, 3).shape == tuple(wanted)


def test_lengths_past_float32_are_rounded_first() -> None:
    """16,777,219.5 is halfway between two float32 numbers; the even one is the upper."""
    assert resample(np.zeros((1, 11_184_813), np.float32), 2, 3).shape == (1, 16_777_220)


@pytest.mark.parametrize("rate", RATES)
def test_resampled_tone_is_the_same_tone(rate: int) -> None:
    found = resample(tone(rate, 0.5)[None], rate, 44100)[0]
    wanted = tone(44100, 0.5)[: len(found)]
    middle = slice(2000, -2000)  # the ends see a repeated first and last sample
    assert found.dtype == np.float64
    assert snr_db(found[middle], wanted[middle]) > 65


@pytest.mark.parametrize("rate", RATES)
def test_resampling_keeps_a_constant_and_floors_the_length(rate: int) -> None:
    found = resample(np.full((2, 1001), 0.25, np.float32), rate, 44100)
    assert found.shape == (2, 1001 * 44100 // rate)
    assert np.max(np.abs(found - 0.25)) <= 1e-6


def test_equal_rates_change_nothing() -> None:
    wav = noise(2, 100)
    assert resample(wav, 44100, 44100) is wav


# --- channels -----------------------------------------------------------------------------


@pytest.mark.live
@pytest.mark.parametrize(("found", "wanted"), [(1, 1), (1, 2), (2, 1), (2, 2), (6, 2), (6, 1)])
def test_channels_equal_the_reference(found: int, wanted: int) -> None:
    reference = importlib.import_module("demucs.audio")
    import torch

    wav = noise(found, 50)
    converted = reference.convert_audio_channels(torch.from_numpy(wav), wanted).numpy()
    # Rounding only: a mean of six may be summed in another order.
    assert np.max(np.abs(convert_channels(wav, wanted) - converted)) <= 1e-7


def test_channels_by_hand() -> None:
    wav = np.array([[1.0, 2], [3, 6], [5, 7]])
    assert convert_channels(wav, 1).tolist() == [[3, 5]]
    assert convert_channels(wav, 2).tolist() == [[1, 2], [3, 6]]
    assert convert_channels(wav[:1], 2).tolist() == [[1, 2], [1, 2]]
    with pytest.raises(AudioError, match="mono or at least 6 channels, found 3"):
        convert_channels(wav, 6)


# --- writing ------------------------------------------------------------------------------

LOUD = np.array([[0.1, -0.5, 1.7, -2.0], [0.99999, -1.0, 0.33333, 1.01]], np.float32)


@pytest.mark.live
@pytest.mark.parametrize("clip", ["rescale", "clamp", "none"])
@pytest.mark.parametrize("bits", [16, 24])
def test_pcm_equals_the_reference(tmp_path: Path, clip: Any, bits: int) -> None:
    reference = importlib.import_module("demucs.audio")
    import torch

    wav = np.concatenate([LOUD, noise(2, 5000)], axis=1)
    reference.save_audio(
        torch.from_numpy(wav), tmp_path / "reference.wav", 44100, clip=clip, bits_per_sample=bits
    )
    save_audio(wav, tmp_path / "found.wav", 44100, clip=clip, bits_per_sample=bits)
    save_audio(wav, tmp_path / "found.flac", 44100, clip=clip, bits_per_sample=bits)
    wanted, _ = soundfile.read(tmp_path / "reference.wav", dtype="int32")
    for name in ("found.wav", "found.flac"):
        found, rate = soundfile.read(tmp_path / name, dtype="int32")
        assert rate == 44100
        assert np.array_equal(found, wanted), name
        assert soundfile.info(tmp_path / name).subtype == f"PCM_{bits}"


@pytest.mark.live
@pytest.mark.parametrize("clip", ["rescale", "clamp", "none"])
@pytest.mark.parametrize("gain", [0.01, 1.0])
def test_clipping_equals_the_reference(clip: Any, gain: float) -> None:
    reference = importlib.import_module("demucs.audio")
    import torch

    wav = np.float32(gain) * LOUD
    wanted = reference.prevent_clip(torch.from_numpy(wav), clip).numpy()
    assert np.array_equal(prevent_clip(wav, clip), wanted)


def test_integers_are_truncated_towards_zero(tmp_path: Path) -> None:
    wav = np.array([[0.99999, -0.99999, 1.0, -1.0, 1.5, 1.6 / 32767]])
    save_audio(wav, tmp_path / "a.wav", 8000, clip="none")
    found, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert found.tolist() == [32766, -32766, 32767, -32767, 32767, 1]


def test_rescaling_leaves_room_and_quiet_audio_alone() -> None:
    assert np.array_equal(prevent_clip(LOUD / 4), LOUD / 4)
    assert abs(np.max(np.abs(prevent_clip(LOUD))) - 1 / 1.01) <= 1e-7
    with pytest.raises(ValueError, match='"tanh" or "none", got \'soft\''):
        prevent_clip(LOUD, "soft")  # type: ignore[arg-type]


def test_float32_without_clipping_is_written_as_it_is(tmp_path: Path) -> None:
    save_audio(LOUD, tmp_path / "a.wav", 44100, clip="none", as_float=True)
    found, rate = read_audio(tmp_path / "a.wav")
    assert rate == 44100
    assert np.array_equal(found, LOUD)


@pytest.mark.parametrize(
    ("suffix", "arguments"),
    [
        (".ogg", {}),
        ("", {}),
        (".wav", {"bits": 8}),
        (".flac", {"as_float": True}),
        (".mp3", {"as_float": True}),
        (".mp3", {"bitrate": 7}),
        (".mp3", {"preset": 1}),
        (".wav", {"rounding": "up"}),
        (".wav", {"clip": "soft"}),
    ],
)
def test_formats_that_are_not_offered(suffix: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"(expected|must be) .* got"):
        Format(suffix, **arguments)


def test_nan_is_not_written(tmp_path: Path) -> None:
    wav = LOUD.copy()
    wav[0, 2] = np.nan
    with pytest.raises(AudioError, match="1 NaN or infinite, the first at sample 2"):
        save_audio(wav, tmp_path / "a.wav", 44100)
    assert not list(tmp_path.iterdir())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("rate", [0, -1, 44100.5, float("nan"), float("inf"), "44100"])
def test_rates_that_are_none(tmp_path: Path, rate: Any) -> None:
    with pytest.raises(ValueError, match="a sample rate must be"):
        save_audio(LOUD, tmp_path / "a.wav", rate)
    with pytest.raises(ValueError, match="a sample rate must be"):
        Separator(FakeTF()).separate_tensor(LOUD, rate)
    assert not list(tmp_path.iterdir())


def test_rates_of_other_types(tmp_path: Path) -> None:
    rates: list[Any] = [8000.0, np.int64(8000), np.float32(8000)]
    for rate in rates:
        save_audio(LOUD, tmp_path / "a.wav", rate)
        assert soundfile.info(tmp_path / "a.wav").samplerate == 8000


@pytest.mark.parametrize("umask", [0o077, 0o022])
def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save_audio(LOUD, tmp_path / "a.wav", 8000)
    finally:
        os.umask(before)
    assert (tmp_path / "a.wav").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")
    with largest_file(100_000), pytest.raises(AudioError, match=os.strerror(errno.EFBIG)):
        save_audio(noise(2, 44100), path, 44100)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.wav"]


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="can't write it: No such file or directory"):
        save_audio(LOUD, tmp_path / "no" / "a.wav", 44100)


# --- reading ------------------------------------------------------------------------------

WHOLE = [
    ("a.wav", "PCM_16", 44100, 2, 1e-4),
    ("a.wav", "PCM_24", 192000, 6, 1e-6),
    ("a.wav", "FLOAT", 8000, 1, 0),
    ("a.wav", "PCM_U8", 8000, 1, 1e-2),
    ("a.flac", "PCM_16", 48000, 1, 1e-4),
    ("a.flac", "PCM_24", 192000, 6, 1e-6),
    ("a.ogg", "VORBIS", 44100, 2, None),
    ("a.ogg", "VORBIS", 8000, 1, None),
    ("a.mp3", "MPEG_LAYER_III", 44100, 2, None),
    ("a.mp3", "MPEG_LAYER_III", 8000, 1, None),
    ("a.mp3", "MPEG_LAYER_III", 22050, 2, None),
]


@pytest.mark.parametrize(("name", "subtype", "rate", "channels", "error"), WHOLE)
def test_reads(
    tmp_path: Path, name: str, subtype: str, rate: int, channels: int, error: float | None
) -> None:
    """Lossy formats: the same length, and aligned so that most of the signal is the original."""
    hertz = [400.0 + 50 * channel for channel in range(channels)]
    wav = np.stack([0.5 * tone(rate, 0.5, h) for h in hertz]).astype(np.float32)
    soundfile.write(tmp_path / name, wav.T, rate, subtype=subtype)
    found, found_rate = read_audio(tmp_path / name)
    assert found_rate == rate
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    if error is None:
        assert snr_db(found, wav) > 15
    else:
        assert np.max(np.abs(found - wav)) <= error


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "w64", "au"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_cut_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    soundfile.write(whole, noise(2, 60000).T, 44100)
    read_audio(whole)
    data = whole.read_bytes()
    cut.write_bytes(data[: int(share * len(data))])
    with pytest.raises(AudioError, match="cut short"):
        read_audio(cut)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("missing", [1, 7])
def test_a_wav_that_lacks_a_byte_is_refused(tmp_path: Path, subtype: str, missing: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(2, 1000).T, 44100, subtype=subtype)
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(AudioError, match=r"its header promises .* bytes of audio"):
        read_audio(path)


def test_an_ogg_that_lacks_a_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, noise(2, 60000).T, 44100)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AudioError, match="its last page is incomplete"):
        read_audio(path)


def test_an_ogg_that_ends_between_pages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, noise(2, 60000).T, 44100)
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"OggS")])
    with pytest.raises(AudioError, match="its last page is missing"):
        read_audio(path)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0x80000000])
def test_a_wav_from_a_pipe_is_read(tmp_path: Path, size: int) -> None:
    """ffmpeg and sox state about 4 or 2 GiB when they can't go back to the header."""
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(2, 1000).T, 44100)
    data = path.read_bytes()
    place = data.index(b"data") + 4
    path.write_bytes(data[:place] + struct.pack("<I", size) + data[place + 4 :])
    assert read_audio(path)[0].shape == (2, 1000)


def test_an_mp3_behind_an_id3_tag_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, noise(2, 60000).T, 44100)
    tag = b"ID3\4\0\0" + bytes([0, 0, 39, 16]) + bytes(39 * 128 + 16)
    data = path.read_bytes()
    path.write_bytes(tag + data)
    assert read_audio(path)[0].shape == (2, 60000)
    path.write_bytes(tag + data[: len(data) // 2])
    with pytest.raises(AudioError, match="header promises 60000 samples"):
        read_audio(path)


def test_a_flac_without_a_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(2, 60000).T, 44100)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # 36 bits of STREAMINFO count the samples; 0: unknown
    data[22:26] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(AudioError, match="says no length"):
        read_audio(path)


def no_audio(folder: Path, kind: str) -> Path:
    path = folder / "a.wav"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("Not audio, whatever the name says.\n" * 20)
    elif kind == "text as mp3":
        path = folder / "a.mp3"
        path.write_text("Not audio, whatever the name says.\n" * 20)
    elif kind == "raw":
        path = folder / "a.raw"
        path.write_bytes(bytes(1000))
    elif kind == "no samples":
        soundfile.write(path, np.zeros((0, 2)), 44100)
    elif kind in ("nan", "inf"):
        wav = noise(2, 100)
        wav[1, 30] = float(kind)
        soundfile.write(path, wav.T, 44100, subtype="FLOAT")
    elif kind == "pipe":
        os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        ("folder", "expected an audio file, found a folder"),
        ("empty", r"empty one \(0 bytes\)"),
        ("text", r"expected WAV, FLAC, OGG or MP3 audio.*, found something else .* ffmpeg"),
        ("text as mp3", "found something else or damaged data"),
        ("raw", "found something else"),
        ("no samples", "0 samples"),
        ("nan", "1 NaN or infinite, the first at sample 30"),
        ("inf", "1 NaN or infinite, the first at sample 30"),
        ("pipe", "found a device or a pipe"),
    ],
)
def test_what_is_no_audio_is_said(tmp_path: Path, kind: str, message: str) -> None:
    path = no_audio(tmp_path, kind)
    start = time.monotonic()
    with pytest.raises(AudioError, match=message) as caught:
        read_audio(path)
    assert str(caught.value).startswith(str(path)), "a message names the file first"
    assert time.monotonic() - start < 5
