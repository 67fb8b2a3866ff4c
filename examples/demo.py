"""The main job from end to end: separate a piece of music, then check the port layer by layer.

Run by `make demo`. Everything it writes lies in one folder, ./demo unless another is named.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from demucs_tf.utils.quiet import quiet

ROOT = Path(__file__).resolve().parent.parent
PIECE = ROOT / "examples" / "piece.flac"
SEED = 0
SOURCES = ["drums", "bass", "other", "vocals"]

NOTE = """\
About these stems: the repository ships no trained weights. The model is the published layout at
a small width with weights drawn from a seed, so its stems are not music. They show that the
pipeline works: checkpoint, reading, chunks, shifts, overlap, writing. With a checkpoint of your
own (a .th file of Demucs), the same command gives real stems:
    demucs-tf separate SONG -n CHECKPOINT.th"""


def main() -> int:
    """Run the demo; the exit status is that of the first step that fails, or 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("demo"), metavar="DIR")
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    say(f"1/3 A checkpoint with weights drawn from seed {SEED}")
    checkpoint = make_checkpoint(out / "seeded.keras")

    say(f"2/3 Separating {PIECE.relative_to(ROOT)}")
    options = ["-n", str(checkpoint), "-o", str(out / "stems"), "--seed", str(SEED)]
    status, printed = run([str(command()), "separate", str(PIECE), *options])
    if status:
        return status

    say("3/3 Comparing every layer with what the PyTorch reference gave")
    report = out / "parity.html"
    status, summary = run([sys.executable, "-m", "parity", "run", "--html", str(report)])
    print(summary, end="")
    if status:
        return status

    say("Done")
    print("Stems:", *printed.splitlines(), sep="\n  ")
    print("Report (opens from disk in any browser):", report, sep="\n  ")
    print(NOTE)
    return 0


def make_checkpoint(path: Path) -> Path:
    """Save a small time-domain Demucs with seeded weights."""
    with quiet():  # TensorFlow's notes about this machine
        import keras

        from demucs_tf import DemucsTF

    keras.utils.set_random_seed(SEED)
    model = DemucsTF(SOURCES, channels=8, dconv_mode=3, segment=10)
    model.save(path)
    return path


def command() -> Path:
    """The installed `demucs-tf` of the Python that runs this."""
    found = sorted(Path(sys.executable).parent.glob("demucs-tf*"))
    if not found:
        sys.exit("demucs-tf is not installed here: run `make demo`, or `pip install .` first.")
    return found[0]


def run(arguments: list[str]) -> tuple[int, str]:
    """Run a command in the repository; return its status and what it printed on stdout."""
    print("$", " ".join(arguments), flush=True)
    done = subprocess.run(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n== {text} ==", flush=True)


if __name__ == "__main__":
    sys.exit(main())
