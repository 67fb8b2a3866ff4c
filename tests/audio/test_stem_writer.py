"""Audio files written block by block: the same bytes as in memory, and nothing left behind."""

from __future__ import annotations

import errno
import importlib
import io
import itertools
import os
import struct
import tracemalloc
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from demucs_tf.audio import encoders
from demucs_tf.audio.format import Format
from demucs_tf.audio.writer import StemWriter, encode_audio, prevent_clip, save_audio
from demucs_tf.errors import AudioError
from tests.audio.test_reader_writer import largest_file
from tests.support.fakes import Array, noise

# File name, and arguments of Format beside `clip`.
FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("a.wav", {}),
    ("a.wav", {"bits": 24}),
    ("a.wav", {"as_float": True}),
    ("a.wav", {"rounding": "round"}),
    ("a.flac", {}),
    ("a.flac", {"bits": 24, "rounding": "round"}),
    ("a.mp3", {}),
    ("a.mp3", {"bitrate": 128, "preset": 7}),
]
CLIPS: Any = ("rescale", "clamp", "tanh", "none")


def loud(channels: int = 2, length: int = 30_000, dtype: str = "float32") -> Array:
    """Peaks of about 4 at the end only, so that early blocks do not know the gain."""
    wav = noise(channels, length, dtype=dtype)
    wav[:, -5000:] *= 10
    return wav


def stream(path: Path, wav: Array, cuts: Sequence[int], scratch: Path, **options: Any) -> bytes:
    form = Format(path.suffix, **options)
    writer = StemWriter(path, 44100, len(wav), form, scratch=scratch)
    for start, end in itertools.pairwise([0, *cuts, wav.shape[1]]):
        writer.write(wav[:, start:end])
    writer.close()
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize(("name", "options"), FORMATS)
def test_a_stream_gives_the_bytes_of_the_whole(
    tmp_path: Path, name: str, options: dict[str, Any], clip: Any
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for wav in (loud(), loud(1, 3001, "float64"), loud()[:, :1]):
        whole = encode_audio(wav, 44100, Format(Path(name).suffix, clip=clip, **options))
        for cuts in ([], [0, 1, 1], [577, 1152, 1153, 2000]):
            cuts = [cut for cut in cuts if cut <= wav.shape[1]]
            found = stream(tmp_path / name, wav, cuts, scratch, clip=clip, **options)
            assert found == whole.tobytes()
    assert not os.listdir(scratch)
    assert os.listdir(tmp_path) == ["scratch", name] or os.listdir(tmp_path) == [name, "scratch"]


@pytest.mark.parametrize(("name", "options"), FORMATS)
def test_what_takes_several_blocks_of_the_spool(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    wav = loud(2, 600_000)
    whole = encode_audio(wav, 44100, Format(Path(name).suffix, **options))
    assert stream(tmp_path / name, wav, [300_000], tmp_path, **options) == whole.tobytes()


@pytest.mark.live
@pytest.mark.parametrize("clip", ["rescale", "clamp", "none"])
@pytest.mark.parametrize(
    ("name", "bits", "as_float"),
    [("a.wav", 16, False), ("a.wav", 24, False), ("a.wav", 32, True), ("a.mp3", 16, False)],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_bytes_equal_the_reference(
    tmp_path: Path, name: str, bits: int, as_float: bool, clip: Any, channels: int
) -> None:
    """The reference clamps float32 with clip "none" as well: there the audio is quiet."""
    reference = importlib.import_module("demucs.audio")
    import torch

    wav = loud(channels) if not (as_float and clip == "none") else noise(channels, 30_000) / 2
    settings: Any = {"bits_per_sample": bits, "as_float": as_float, "bitrate": 192, "preset": 5}
    (tmp_path / "wanted").mkdir()
    wanted = tmp_path / "wanted" / name
    reference.save_audio(torch.from_numpy(wav.copy()), wanted, 44100, clip=clip, **settings)
    save_audio(wav, tmp_path / name, 44100, clip=clip, **settings)
    assert (tmp_path / name).read_bytes() == wanted.read_bytes()
    options: dict[str, Any] = {"as_float": as_float, "bitrate": 192, "preset": 5, "clip": clip}
    if not as_float:
        options["bits"] = bits
    found = stream(tmp_path / name, wav, [5, 1000, 20_000], tmp_path, **options)
    assert found == wanted.read_bytes()


@pytest.mark.live
@pytest.mark.parametrize("rate", [8000, 22050, 32000, 48000])
def test_an_mp3_of_other_rates_equals_the_reference(tmp_path: Path, rate: int) -> None:
    reference = importlib.import_module("demucs.audio")
    import torch

    wav = noise(2, 30_000)
    reference.save_audio(torch.from_numpy(wav.copy()), tmp_path / "a.mp3", rate)
    assert (tmp_path / "a.mp3").read_bytes() == encode_audio(wav, rate, Format(".mp3"))


@pytest.mark.live
def test_tanh_equals_the_reference() -> None:
    reference = importlib.import_module("demucs.audio")
    import torch

    wav = loud()
    wanted = reference.prevent_clip(torch.from_numpy(wav), "tanh").numpy()
    # Two implementations of tanh, each within an ulp or two of the truth.
    assert np.max(np.abs(prevent_clip(wav, "tanh") - wanted)) <= 4 * np.finfo(np.float32).eps


# --- what is in the files ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "subtype"),
    [
        ("a.wav", {}, "PCM_16"),
        ("a.wav", {"bits": 24}, "PCM_24"),
        ("a.wav", {"as_float": True}, "FLOAT"),
        ("a.flac", {}, "PCM_16"),
        ("a.flac", {"bits": 24}, "PCM_24"),
        ("a.mp3", {}, "MPEG_LAYER_III"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_others_read_it(
    tmp_path: Path, name: str, options: dict[str, Any], subtype: str, channels: int
) -> None:
    wav = np.clip(noise(channels, 10_001), -1, 1)
    stream(tmp_path / name, wav, [4000], tmp_path, clip="none", **options)
    info = soundfile.info(tmp_path / name)
    assert (info.samplerate, info.channels, info.subtype) == (44100, channels, subtype)
    found = soundfile.read(tmp_path / name, always_2d=True)[0].T
    if subtype == "MPEG_LAYER_III":
        assert found.shape[1] >= 10_001
    else:
        steps = {"PCM_16": 2**-14, "PCM_24": 2**-22, "FLOAT": 0}[subtype]
        assert found.shape == wav.shape
        assert np.max(np.abs(found - wav)) <= steps


@pytest.mark.parametrize("length", [0, 1, 2, 3])
@pytest.mark.parametrize(("bits", "as_float"), [(16, False), (24, False), (32, True)])
def test_the_header_of_a_wav_is_right_whatever_the_length(
    length: int, bits: int, as_float: bool
) -> None:
    """24 bits, one channel, one sample: three bytes, which RIFF pads."""
    data = bytes(encode_audio(noise(1, length), 8000, Format(".wav", bits, as_float)))
    size = length * bits // 8
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert len(data) % 2 == 0
    place = data.index(b"data")
    assert struct.unpack("<I", data[place + 4 : place + 8])[0] == size
    assert len(data) == place + 8 + size + size % 2
    if not as_float:
        with wave.open(io.BytesIO(data)) as file:
            found = (file.getnframes(), file.getsampwidth(), file.getframerate())
        assert found == (length, bits // 8, 8000)


def test_an_empty_stream_is_an_empty_wav(tmp_path: Path) -> None:
    stream(tmp_path / "a.wav", noise(2, 0), [], tmp_path)
    assert soundfile.info(tmp_path / "a.wav").frames == 0


def test_float32_has_no_time_in_it() -> None:
    data = bytes(encode_audio(loud(), 44100, Format(".wav", as_float=True)))
    assert data[:4] == b"RIFF"
    assert b"PEAK" not in data[:100]


def test_rounding_halves_the_error() -> None:
    wav = np.linspace(-1, 1, 100_001)[None]
    for bits, worst in ((16, 1 / 32767), (24, 1 / 8388607)):
        errors = []
        for rounding in ("truncate", "round"):
            scale = 2 ** (bits - 1) - 1
            samples = encoders.integers(wav, bits, rounding)
            found = samples.astype(float) / (scale if bits == 16 else scale << 8)
            errors.append(np.max(np.abs(found - wav)))
        assert errors[0] == pytest.approx(worst, rel=0.01)
        assert errors[1] == pytest.approx(worst / 2, rel=0.01)


def test_rounding_by_hand() -> None:
    wav = np.array([[0.6, -0.6, 0.4, 1.5, 2.5, -1.5, 40000]]) / 32767
    assert encoders.integers(wav, 16, "round").tolist() == [[1, -1, 0, 2, 2, -2, 32767]]
    assert encoders.integers(wav, 16).tolist() == [[0, 0, 0, 1, 2, -1, 32767]]


# --- what can't be written --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "channels", "name", "message"),
    [
        (96000, 2, "a.mp3", "MP3 has .* 48000 Hz, not 96000. Write WAV or FLAC"),
        (44100, 3, "a.mp3", "MP3 has 1 or 2 channels, not 3"),
        (44100, 9, "a.flac", "FLAC can't have 9 channels at 44100 Hz"),
    ],
)
def test_formats_with_limits(
    tmp_path: Path, rate: int, channels: int, name: str, message: str
) -> None:
    with pytest.raises(AudioError, match=message):
        encode_audio(noise(channels, 10), rate, Format(Path(name).suffix))
    with pytest.raises(AudioError, match=message):
        StemWriter(tmp_path / name, rate, channels, scratch=tmp_path)
    assert not os.listdir(tmp_path)


# ISO 11172-3 and 13818-3: kbit/s by index, of MPEG-1 and of the lower rates; Hz by version.
_KBITS = ((32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
          (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160))  # fmt: skip
_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def mp3_header(data: bytes) -> tuple[int, int]:
    """Sample rate and kbit/s of the first frame."""
    assert int.from_bytes(data[:2], "big") & 0xFFE0 == 0xFFE0
    version = data[1] >> 3 & 3
    kbits = _KBITS[0 if version == 3 else 1][(data[2] >> 4) - 1]
    return _HERTZ[version][data[2] >> 2 & 3], kbits


@pytest.mark.parametrize("rate", sorted(rate for rates in _HERTZ.values() for rate in rates))
def test_an_mp3_keeps_its_rates_or_is_refused(rate: int) -> None:
    wav = noise(2, 4 * rate // 10)
    for bitrate in (8, 16, 32, 33, 64, 96, 100, 128, 144, 160, 320):
        highest = 320 if rate >= 32000 else 160 if rate >= 16000 else 64
        known = [kbits for kbits in _KBITS[0 if rate >= 32000 else 1] if kbits <= highest]
        form = Format(".mp3", bitrate=bitrate)
        if min(bitrate, highest) in known:
            assert mp3_header(bytes(encode_audio(wav, rate, form))) == (rate, min(bitrate, highest))
        else:
            with pytest.raises(
                AudioError, match=f"{rate} Hz has .*, {highest} kbit/s, not {bitrate}: "
            ):
                encode_audio(wav, rate, form)


@pytest.mark.parametrize("clip", ["rescale", "none"])
def test_a_wav_ends_at_four_gigabytes(
    tmp_path: Path, clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "WAV_BYTES", 4000)
    with pytest.raises(AudioError, match="can't hold 4004 bytes; write FLAC"):
        save_audio(noise(2, 1001), tmp_path / "a.wav", 44100, clip=clip)
    writer = StemWriter(tmp_path / "a.wav", 44100, 2, Format(".wav", clip=clip), scratch=tmp_path)
    writer.write(noise(2, 1000))
    with pytest.raises(AudioError, match="can't hold 4004 bytes; write FLAC"):
        writer.write(noise(2, 1))
    assert not os.listdir(tmp_path)
    stream(tmp_path / "a.flac", noise(2, 1001), [], tmp_path)


def test_the_largest_wav_fits_its_header() -> None:
    assert encoders.WAV_BYTES + 1 + 50 < 1 << 32
    encoders.check_wav_size(encoders.WAV_BYTES // 2, Format(".wav"))
    with pytest.raises(AudioError, match="split the track"):
        encoders.check_wav_size((1 << 32) // 4, Format(".wav", as_float=True))


@pytest.mark.parametrize("clip", ["rescale", "none"])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_bad_samples_are_named_by_their_place(tmp_path: Path, name: str, clip: Any) -> None:
    writer = StemWriter(
        tmp_path / name,
        44100,
        2,
        Format(Path(name).suffix, clip=clip),
        scratch=tmp_path,
        name=Path("song/vocals.wav"),
    )
    writer.write(noise(2, 1000))
    wav = noise(2, 100)
    wav[0, 7] = np.inf
    with pytest.raises(AudioError, match=r"song/vocals\.wav: .* the first at sample 1007"):
        writer.write(wav)
    assert not os.listdir(tmp_path)
    with pytest.raises(ValueError, match=r"write\(\) after close\(\) or abort\(\)"):
        writer.write(noise(2, 1))


@pytest.mark.parametrize("clip", ["rescale", "none"])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
@pytest.mark.parametrize("room", [0, 30_000])
def test_a_full_disk_leaves_nothing(tmp_path: Path, name: str, clip: Any, room: int) -> None:
    wav = noise(2, 4 * 44100)
    with largest_file(room), pytest.raises(AudioError, match=os.strerror(errno.EFBIG)) as caught:
        stream(tmp_path / name, wav, [44100, 88200], tmp_path, clip=clip)
    assert str(caught.value).startswith(str(tmp_path))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_a_disk_that_fills_up_at_the_end_leaves_nothing(tmp_path: Path, name: str) -> None:
    """Room for the spool, but not for the file."""
    writer = StemWriter(tmp_path / name, 44100, 2, scratch=tmp_path)
    writer.write(noise(2, 44100))
    with largest_file(10_000), pytest.raises(AudioError, match=f"{name}: can't write it"):
        writer.close()
    assert not os.listdir(tmp_path)


def test_folders_that_are_missing_are_said(tmp_path: Path) -> None:
    gone = tmp_path / "no"
    with pytest.raises(AudioError, match=r"no/a\.wav: can't write it: No such file"):
        StemWriter(gone / "a.wav", 44100, 2, scratch=tmp_path)
    with pytest.raises(AudioError, match=r"no: can't write it: No such file"):
        StemWriter(tmp_path / "a.wav", 44100, 2, scratch=gone)
    (tmp_path / "file").touch()
    with pytest.raises(AudioError, match="can't write it: Not a directory"):
        StemWriter(tmp_path / "file" / "a.wav", 44100, 2, scratch=tmp_path)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
@pytest.mark.parametrize("clip", ["rescale", "none"])
def test_abort_removes_everything(tmp_path: Path, name: str, clip: Any) -> None:
    writer = StemWriter(
        tmp_path / name, 44100, 2, Format(Path(name).suffix, clip=clip), scratch=tmp_path
    )

    def interrupted() -> None:
        with writer:
            writer.write(noise(2, 100_000))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not os.listdir(tmp_path)
    writer.abort()
    writer.close()
    assert not os.listdir(tmp_path)


def test_abort_after_close_keeps_the_file(tmp_path: Path) -> None:
    with StemWriter(tmp_path / "a.wav", 44100, 1, scratch=tmp_path) as writer:
        writer.write(noise(1, 10))
    writer.abort()
    assert os.listdir(tmp_path) == ["a.wav"]


@pytest.mark.parametrize(
    "block", [noise(1, 5), noise(2, 5, dtype="float64"), noise(2, 5)[0], np.zeros((2, 5), int)]
)
def test_blocks_of_another_kind(tmp_path: Path, block: Array) -> None:
    writer = StemWriter(tmp_path / "a.wav", 44100, 2, scratch=tmp_path)
    writer.write(noise(2, 5))
    with pytest.raises(ValueError, match=r"expected float32 \(2 channels, samples\), got"):
        writer.write(block)
    writer.abort()


def test_arrays_of_another_kind() -> None:
    for wav in (noise(5), np.zeros((2, 5), int), noise(2, 5).astype(np.float16)):
        with pytest.raises(ValueError, match=r"expected float32 or float64 \(channels, samples\)"):
            encode_audio(wav, 44100, Format(".wav"))


@pytest.mark.parametrize("clip", ["rescale", "none"])
def test_writing_takes_little_memory(tmp_path: Path, clip: Any) -> None:
    block = noise(2, 1 << 16)
    with StemWriter(
        tmp_path / "a.wav", 44100, 2, Format(".wav", clip=clip), scratch=tmp_path
    ) as writer:
        tracemalloc.start()
        try:
            for _ in range(40):
                writer.write(block)
            writer.close()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert soundfile.info(tmp_path / "a.wav").frames == 40 << 16, "21 MB in float32"
    assert peak < 12_000_000
