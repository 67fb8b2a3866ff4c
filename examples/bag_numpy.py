"""Separate a track of any length with an exported bag: the weighted mean of its members' stems.

The example of the members' runtime, beside this one, runs each of them.

Usage: python examples/bag_numpy.py BAG_DIR SONG.wav OUT_DIR
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

EXAMPLES = {".onnx": "onnx_numpy.py", ".tflite": "litert_numpy.py", "": "saved_model_numpy.py"}
if len(sys.argv) != 4:
    sys.exit(__doc__)
bag, song, folder = map(Path, sys.argv[1:])
try:
    about = json.loads((bag / "manifest.json").read_text("utf-8"))
    assert about["format"] == 1, f"format {about['format']}, this reads 1"
except Exception as error:
    sys.exit(f"{bag}: {error!r:.80}. Make it by demucs-tf export BAG --format onnx -o {bag}")

names, total = about["sources"], 0
table = np.array(about["weights_table"], "float32")  # (members, sources)
for member, weights in zip(about["members"], table, strict=True):
    if not weights.any():  # nothing of it is wanted
        continue
    file = bag / member["file"]
    with tempfile.TemporaryDirectory() as place:
        example = Path(__file__).with_name(EXAMPLES[file.suffix])
        done = subprocess.run([sys.executable, example, file, song, place], check=False)
        if done.returncode:
            sys.exit(done.returncode)
        files = [Path(place, f"{name}.wav") for name in names]
        read = [soundfile.read(file, dtype="float32", always_2d=True) for file in files]
    rate = read[0][1]
    total = total + weights[:, None, None] * np.stack([stem for stem, _ in read])

Path(folder).mkdir(parents=True, exist_ok=True)
for name, stem in zip(names, total / table.sum(0)[:, None, None], strict=True):
    soundfile.write(Path(folder, f"{name}.wav"), stem, rate, "FLOAT")
