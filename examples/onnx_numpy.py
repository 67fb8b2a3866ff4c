"""Separate a track of any length with ONNX Runtime, NumPy and soundfile alone.

Usage: python examples/onnx_numpy.py MODEL.onnx SONG.wav OUT_DIR
"""

import json
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile

model, song, folder = sys.argv[1:] if len(sys.argv) == 4 else sys.exit(__doc__)
try:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["demucs_tf"])
    assert about["format"] == 1, f"format {about['format']}, this reads 1"
    data = Path(model).read_bytes()
    end = data.rindex(b"\n\x09demucs_tf")  # the last field; its number and length stand before it
    end -= 2 + (len(data) - end > 127) + (len(data) - end > 16383)
    assert sha256(data[:end]).hexdigest() == about["checksum"], "it was changed"
except Exception as error:
    sys.exit(f"{model}: {error!r:.70}. Make it by demucs-tf export NAME --format onnx -o {model}")
try:
    wav, rate = soundfile.read(song, dtype="float32", always_2d=True)
except Exception as error:
    sys.exit(f"{song} can't be read ({error}): give a WAV or FLAC file")
wanted = about["samplerate"], about["audio_channels"]
if (rate, wav.shape[1]) != wanted or len(wav) < 2:
    sys.exit(
        f"{song}: expected {wanted[1]} channels at {wanted[0]} Hz, found {len(wav)} samples of "
        f"{wav.shape[1]} at {rate} Hz: ffmpeg -i {song} -ar {wanted[0]} -ac {wanted[1]} new.wav"
    )
mono = wav.mean(1, dtype="float64")
mean, std = float(mono.mean()), float(mono.std(ddof=1)) + 1e-8
mix, total, segment = (wav.T - mean) / std, len(wav), about["segment"]  # (A, T)
fade = np.minimum(np.arange(segment) + 1, segment - np.arange(segment)).astype("float32")
stems, weight = np.zeros((len(about["sources"]), *mix.shape), "float32"), np.zeros(total, "float32")
for start in range(0, total, int(0.75 * segment)):
    size, length = min(segment, total - start), about["length"]
    if size < segment and about["any_length"] and not about["training_length"]:
        depth, kernel, resample, stride = (about["valid_length"] or {}).values() or (0, 1, 0, 1)
        length = size * (1 + resample)
        for _ in range(depth):
            length = max(1, -(-(length - kernel) // stride) + 1)
        for _ in range(depth):
            length = (length - 1) * stride + kernel
        length = -(-length // (1 + resample))
    first = start - (length - size) // 2  # its neighbours around it, zeros where the track ends
    around = max(0, -first), max(0, first + length - total)
    chunk = np.pad(mix[:, max(0, first) : first + length], ((0, 0), around))
    out = session.run(["stems"], {"mix": chunk[None]})[0][0]
    stems[..., start : start + size] += fade[:size] * out[..., start - first :][..., :size]
    weight[start : start + size] += fade[:size]
Path(folder).mkdir(parents=True, exist_ok=True)
for name, stem in zip(about["sources"], stems / weight * std + mean, strict=True):
    soundfile.write(Path(folder, f"{name}.wav"), stem.T, rate, "FLOAT")
