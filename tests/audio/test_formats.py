"""What libsndfile does not know: M4A, AAC, Matroska, WMA, by PyAV or the ffmpeg program."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from demucs_tf.audio import ffmpeg, pyav, reader
from demucs_tf.audio.reader import open_audio, read_audio
from demucs_tf.errors import AudioError
from parity.core.compare import snr_db
from tests.support.fakes import Array, noise

av: Any = pytest.importorskip("av", reason="makes the files; in the extra `dev`")

RATE = 44100
LENGTH = 100_000
# Name, FFmpeg's container and encoder, options, and how many samples late PyAV's are.
FILES: list[tuple[str, str, str, dict[str, str], int]] = [
    ("a.m4a", "ipod", "aac", {}, 0),
    ("fast.m4a", "ipod", "aac", {"movflags": "faststart"}, 0),
    ("fragments.mp4", "mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}, 1024),
    ("a.aac", "adts", "aac", {}, 1024),
    ("alac.m4a", "ipod", "alac", {}, 0),
    ("opus.webm", "webm", "libopus", {}, 0),
    ("flac.mkv", "matroska", "flac", {}, 0),
    ("a.ac3", "ac3", "ac3", {}, 256),
]
CUT = [*(row[0] for row in FILES), "a.wma"]


def sound(channels: int, length: int = LENGTH) -> Array:
    """A different tone in each channel, with a slow beat and a little noise, so that lags show."""
    time = np.arange(length) / RATE
    tones = [np.sin(2 * np.pi * (400 + 150 * c) * time) for c in range(channels)]
    beat = 1 + 0.5 * np.sin(2 * np.pi * 3.3 * time)
    return (0.4 * np.stack(tones) * beat + 0.1 * noise(channels, length)).astype(np.float32)


def encode(path: Path, container: str, codec: str, options: dict[str, str], *tracks: Array) -> Path:
    rate = 48000 if codec == "libopus" else RATE
    with av.open(str(path), "w", format=container, options=options) as file:
        streams = []
        for wav in tracks:
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(wav)]
            streams.append(file.add_stream(codec, rate=rate, layout=layout))
        for stream, wav in zip(streams, tracks, strict=True):
            kind = stream.codec_context.format
            scale = {"s16": 2**15 - 1, "s32": 2**31 - 256}.get(kind.packed.name)
            data = wav if scale is None else (wav.astype(float) * scale).astype(f"i{kind.bytes}")
            data = data if kind.is_planar else data.T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(data), kind.name, stream.codec_context.layout.name
            )
            frame.sample_rate, frame.pts = rate, 0
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                file.mux(packet)
    return path


def asf(path: Path) -> Path:
    """An ASF header that states its size, and nothing that can be decoded."""
    properties = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365") + (104).to_bytes(8, "little")
    properties += bytes(16) + (5000).to_bytes(8, "little") + bytes(56)
    header = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
    header += (30 + len(properties)).to_bytes(8, "little") + bytes(6) + properties
    path.write_bytes(header + bytes(5000 - len(header)))
    return path


def lag(wav: Array, found: Array) -> int:
    """By how many samples `found` is late: the peak of the cross-correlation."""
    size = 1 << 17
    spectrum = np.conj(np.fft.rfft(wav, 2 * size)) * np.fft.rfft(found[:size], 2 * size)
    peak = int(np.argmax(np.fft.irfft(spectrum)))
    return peak if peak < size else peak - 2 * size


def real_ffmpeg() -> str:
    """The system's, if that starts, or else the one that the extra `dev` brings."""
    found = shutil.which("ffmpeg")
    if found is None or subprocess.run([found, "-version"], capture_output=True).returncode:
        name = "imageio_ffmpeg"
        found = pytest.importorskip(name, reason="no ffmpeg that runs").get_ffmpeg_exe()
    return str(found)


@pytest.fixture(params=["PyAV", "ffmpeg"])
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read with one of both."""
    if request.param == "ffmpeg":
        program = real_ffmpeg()
        monkeypatch.setattr(pyav, "find_av", lambda: None)
        monkeypatch.setattr(shutil, "which", {"ffmpeg": program}.get)
    else:
        monkeypatch.setattr(ffmpeg, "find_ffmpeg", lambda: None)
    return str(request.param)


@pytest.mark.parametrize(
    ("name", "container", "codec", "options", "late", "channels"),
    [*((*row, 2) for row in FILES), *((*FILES[i], n) for i in (0, 4, 7) for n in (1, 6))],
)
def test_lines_up_with_the_original(
    tmp_path: Path,
    tool: str,
    name: str,
    container: str,
    codec: str,
    options: dict[str, str],
    late: int,
    channels: int,
) -> None:
    wav = sound(channels)
    path = encode(tmp_path / name, container, codec, options, wav)
    found, rate = read_audio(path)
    assert rate == (48000 if codec == "libopus" else RATE)
    assert found.dtype == np.float32
    assert found.shape[0] == channels
    clear = [0, 1, 2, 4, 5][:channels]  # the fourth of six is for effects: a low pass
    assert {lag(wav[channel], found[channel]) for channel in clear} == {late}
    if codec in ("alac", "flac"):
        assert found.shape == wav.shape
        assert np.max(np.abs(found - wav)) <= 2**-14
    else:
        # The last frame is padded; FFmpeg 9 cuts it where an edit list ends, in milliseconds.
        assert late - RATE / 1000 < found.shape[1] - LENGTH < late + 2048
        middle = slice(5000, 90_000)
        aligned = found[:, late : late + LENGTH]
        assert snr_db(aligned[clear, middle], wav[clear, middle]) > 12


def test_both_decode_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = real_ffmpeg()
    path = encode(tmp_path / "a.m4a", "ipod", "aac", {}, sound(2))
    by_av, rate = read_audio(path)
    monkeypatch.setattr(pyav, "find_av", lambda: None)
    monkeypatch.setattr(shutil, "which", {"ffmpeg": program}.get)
    by_ffmpeg, other_rate = read_audio(path)
    assert rate == other_rate
    common = min(by_av.shape[1], by_ffmpeg.shape[1])
    assert common > LENGTH - RATE / 1000  # versions differ in where they end, and in rounding
    assert np.max(np.abs(by_av[:, :common] - by_ffmpeg[:, :common])) <= 1e-6


@pytest.mark.parametrize("share", [0.3, 0.999])
@pytest.mark.parametrize("name", CUT)
def test_cut_files_are_refused(tmp_path: Path, tool: str, name: str, share: float) -> None:
    path = tmp_path / name
    row = next((row for row in FILES if row[0] == name), None)
    if row is None:
        asf(path)
    else:
        encode(path, row[1], row[2], row[3], sound(2))
        read_audio(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(AudioError, match="cut short") as caught:
        read_audio(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_an_asf_that_is_as_long_as_it_says_is_not_called_cut(tmp_path: Path, tool: str) -> None:
    with pytest.raises(AudioError) as caught:
        read_audio(asf(tmp_path / "a.wma"))
    assert "cut short:" not in str(caught.value)


def test_damage_inside_is_an_error(tmp_path: Path, tool: str) -> None:
    path = encode(tmp_path / "a.m4a", "ipod", "aac", {"movflags": "faststart"}, sound(2))
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + 8000
    data[middle : middle + 2000] = b"\xff" * 2000
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"damaged or cut short: .* \(.+: .+\)"):
        read_audio(path)


@pytest.mark.parametrize("name", ["-i.m4a", "http:%d x.m4a", "ä 'a' \"b\".m4a", "concat:a|b.m4a"])
def test_odd_names(tmp_path: Path, tool: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(tmp_path / "a.m4a", "ipod", "alac", {}, sound(1, 5000)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert read_audio(name)[0].shape == (1, 5000)


def test_the_first_audio_track_is_read(tmp_path: Path, tool: str) -> None:
    first, second = sound(2), sound(1, 5000)
    path = encode(tmp_path / "a.mkv", "matroska", "flac", {}, first, second)
    found, _ = read_audio(path)
    assert found.shape == first.shape
    assert np.max(np.abs(found - first)) <= 2**-14


def test_the_suffix_does_not_matter(tmp_path: Path, tool: str) -> None:
    path = encode(tmp_path / "a.m4a", "ipod", "alac", {}, sound(2, 5000))
    for name in ("a.mp3", "a.wav", "a.raw", "a"):
        shutil.copy(path, tmp_path / name)
        assert read_audio(tmp_path / name)[0].shape == (2, 5000)


def test_a_stream_that_is_left_early_is_closed(tmp_path: Path, tool: str) -> None:
    path = encode(tmp_path / "a.mkv", "matroska", "flac", {}, noise(2, 600_000))
    with open_audio(path) as stream:
        first = next(stream.blocks())
        decoder: Any = stream._decoder
    assert first.shape[1] >= reader.BLOCK
    if tool == "ffmpeg":
        assert decoder._process.poll() is not None
    else:
        assert decoder._file.closed


# --- files that lead elsewhere ------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["m4a", "mp3", "m3u8", "wav", "txt"])
@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile secret.wav\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    ],
)
def test_playlists_lead_nowhere(tmp_path: Path, tool: str, suffix: str, text: str) -> None:
    soundfile.write(tmp_path / "secret.wav", noise(1, 1000)[0], 8000)
    path = tmp_path / f"a.{suffix}"
    path.write_text(text)
    with pytest.raises(AudioError, match="found something else or damaged data"):
        read_audio(path)


def test_a_file_without_audio_is_said(tmp_path: Path, tool: str) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=10, width=16, height=16)
        image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(image), *stream.encode(None)]:
            file.mux(packet)
    with pytest.raises(AudioError, match=r"expected .*audio"):
        read_audio(path)


# --- which tool, and what it may do -------------------------------------------------------------


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    if "av" in names:
        monkeypatch.setitem(sys.modules, "av", None)
    if "ffmpeg" in names:
        monkeypatch.setenv("PATH", "")
    if "imageio" in names:
        monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)


def test_without_both_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / "a.m4a", "ipod", "alac", {}, sound(1, 100))
    without(monkeypatch, "av", "ffmpeg", "imageio")
    with pytest.raises(
        AudioError, match=r'pip install "demucs-tf\[av\]".*ffmpeg program'
    ) as caught:
        read_audio(path)
    assert str(caught.value).startswith(f"{path}: expected WAV, FLAC, OGG or MP3 audio, found")


def test_what_libsndfile_reads_needs_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "av", "ffmpeg", "imageio")
    for suffix in ("wav", "flac", "ogg", "mp3"):
        soundfile.write(tmp_path / f"a.{suffix}", noise(2, 5000).T, RATE)
        assert read_audio(tmp_path / f"a.{suffix}")[0].shape == (2, 5000)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A program named ffmpeg, of these lines of Python, and a file that only it can read."""

    def make(lines: str) -> Path:
        program = tmp_path / "bin" / "ffmpeg"
        program.parent.mkdir()
        program.write_text(
            f"#!{sys.executable}\nimport struct, sys\nout = sys.stdout.buffer\n{lines}"
        )
        program.chmod(0o755)
        without(monkeypatch, "av")
        monkeypatch.setenv("PATH", str(program.parent))
        (tmp_path / "a.m4a").write_bytes(b"known to the stand-in alone")
        return tmp_path / "a.m4a"

    return make


HEADER = 'out.write(struct.pack(">4s5I4x", b".snd", 28, 2**32 - 1, 6, 8000, 2))\n'


def test_the_program_is_used_without_pyav(stand_in: Callable[[str], Path]) -> None:
    path = stand_in(
        "open(sys.argv[0] + '.txt', 'w').write('\\n'.join(sys.argv[1:]))\n"
        + HEADER
        + 'for i in range(300_000): out.write(struct.pack(">2f", i / 2**20, -1))\n'
    )
    found, rate = read_audio(path)
    assert rate == 8000
    wanted = np.stack([np.arange(300_000) / 2**20, np.full(300_000, -1)]).astype(np.float32)
    assert np.array_equal(found, wanted)
    arguments = (path.parent / "bin" / "ffmpeg.txt").read_text().splitlines()
    assert arguments[arguments.index("-i") + 1] == f"file:{path}"
    assert arguments[arguments.index("-protocol_whitelist") + 1] == "file"
    assert not {"concat", "hls", "dash", "lavfi", "image2", "tty", "sdp"}.intersection(
        arguments[arguments.index("-format_whitelist") + 1].split(",")
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("sys.exit('[mov @ 0x1] no \\x1b[1mgood')", r"found something else .*\(ffmpeg: no "),
        ("out.write(bytes(100))", "ffmpeg wrote no AU of float32"),
        (HEADER, "a file with 0 samples"),
        (HEADER + "out.write(bytes(80)); out.flush(); sys.exit('oh')", r"damaged .*\(ffmpeg: oh\)"),
        (HEADER + "out.write(bytes(80)); out.flush(); sys.exit(1)", r"\(ffmpeg: no reason given"),
        (
            HEADER + "out.write(bytes(80)); print('File ended prematurely', file=sys.stderr)",
            r"cut short \(ffmpeg: File ended prematurely\)",
        ),
        (HEADER + "out.write(b'\\x7f\\xc0\\0\\0' * 20)", "at least 20 NaN or infinite"),
    ],
)
def test_what_the_program_may_do(stand_in: Callable[[str], Path], lines: str, message: str) -> None:
    path = stand_in(lines)
    with pytest.raises(AudioError, match=message) as caught:
        read_audio(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\x1b" not in str(caught.value)


LOADER = "error while loading shared libraries: libx.so.1: cannot open shared object file"
BROKEN = [b"\0no program", f"#!/bin/sh\necho '{LOADER}' >&2\nexit 127\n".encode()]


@pytest.mark.parametrize("program", BROKEN, ids=["no program", "no library"])
def test_a_program_that_does_not_run(
    stand_in: Callable[[str], Path],
    program: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = stand_in("")
    broken = path.parent / "bin" / "ffmpeg"
    broken.write_bytes(program)
    encode(path, "ipod", "alac", {}, sound(2, 5000))
    assert read_audio(path)[0].shape == (2, 5000)
    assert f"{broken} can't be run: " in caplog.text
    assert f"Here {importlib.import_module('imageio_ffmpeg').get_ffmpeg_exe()} " in caplog.text
    without(monkeypatch, "imageio")
    with pytest.raises(AudioError, match=r"ffmpeg can't be run: .* Install ffmpeg anew"):
        read_audio(path)


def test_a_program_of_a_package_needs_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / "a.m4a", "ipod", "alac", {}, sound(2, 5000))
    without(monkeypatch, "av", "ffmpeg")
    assert read_audio(path)[0].shape == (2, 5000)


@pytest.mark.live
def test_the_samples_are_the_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference asks ffprobe for rate and channels, which may not be there: they are told."""
    reference = importlib.import_module("demucs.audio")
    program = Path(real_ffmpeg())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ffmpeg").symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    path = encode(tmp_path / "a.m4a", "ipod", "aac", {}, sound(2))
    file = reference.AudioFile(path)
    stream = {"codec_type": "audio", "channels": 2, "sample_rate": RATE}
    file._info = {"streams": [stream]}
    wanted = file.read(streams=0).numpy()
    monkeypatch.setattr(pyav, "find_av", lambda: None)
    assert np.array_equal(read_audio(path)[0], wanted)


def test_the_standard_library_agrees_on_integers(tmp_path: Path) -> None:
    """PyAV's integers have the scale that libsndfile's have: 16 bits over 2**15."""
    samples = np.array([[-32768, -1, 0, 1, 32767]], np.int16)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    decoder = pyav.AvDecoder(tmp_path / "a.wav")
    by_av = np.concatenate(list(decoder.parts()), axis=1)
    decoder.close()
    assert np.array_equal(by_av, samples / 2**15)
    assert np.array_equal(by_av, read_audio(tmp_path / "a.wav")[0])
