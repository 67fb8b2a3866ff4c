"""The main job from end to end: separate a piece of music, then check the port layer by layer.

Run by `make demo`. Everything it writes lies in one folder, ./demo unless another is named.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

try:
    from demucs_tf.utils.quiet import quiet
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is not installed for {sys.executable}: run `make demo`.")

ROOT = Path(__file__).resolve().parent.parent
PIECE = ROOT / "examples" / "piece.flac"
SEED = 0
SOURCES = ["drums", "bass", "other", "vocals"]

PROMISE = """\
Two things in two minutes: a piece of music becomes four stems, and then every layer of
the port is compared with what the PyTorch reference gave. Nothing is downloaded, and PyTorch is
not needed."""

UNTRAINED = f"""\
The repository has no trained weights, so this model has the published layout at an eighth of the
width, and weights drawn from seed {SEED}. Its stems are NOT music: they show that reading, chunks,
shifts, overlap and writing work."""

NEXT = """\
What next:
  Separate your own song with htdemucs, which is downloaded (or -n CHECKPOINT.th, one of yours):
    {command} separate SONG
  Open the report; "How to read this" on it explains the columns. To add float64 to it:
    {python} -m parity run --html parity.html
  Train: examples/finetune.py. More: README.md, docs/parity.md."""


def main() -> int:
    """Run the demo; the exit status is that of the first step that fails, or 0."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=UNTRAINED)
    parser.add_argument("-o", "--out", type=Path, default=Path("demo"), metavar="DIR")
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(PROMISE)

    say("1/3 Make a checkpoint")
    print(UNTRAINED)
    checkpoint = make_checkpoint(out / "seeded.keras")
    print(checkpoint)

    say(f"2/3 Separate {PIECE.relative_to(ROOT)}, {seconds(PIECE):.0f} s of rendered music")
    options = ["-n", str(checkpoint), "-o", str(out / "stems"), "--seed", str(SEED)]
    status, stems = run([str(command()), "separate", str(PIECE), *options])
    if status:
        return status

    say("3/3 Compare every layer with the reference")
    report = out / "parity.html"
    check = [sys.executable, "-m", "parity", "run", "--dtype", "float32", "--html", str(report)]
    status, results = run(check, dots=True)
    failed = [line for line in results if line.startswith(("FAIL", "first divergence"))]
    print(
        *failed, "Configurations: " + next((r for r in results if " passed, " in r), "?"), sep="\n"
    )
    if status:
        return status

    say("Done")
    print("Stems (seeded weights, not music):", *stems, sep="\n  ")
    print("Report (opens from disk in any browser):", report, sep="\n  ")
    print(NEXT.format(command=shown(command()), python=shown(Path(sys.executable))))
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


def seconds(path: Path) -> float:
    """Length of an audio file."""
    import soundfile

    return float(soundfile.info(path).duration)


def command() -> Path:
    """The installed `demucs-tf` of the Python that runs this."""
    found = sorted(Path(sys.executable).parent.glob("demucs-tf*"))
    if not found:
        sys.exit("demucs-tf is not installed here: run `make demo`, or `pip install .` first.")
    return found[0]


def shown(path: Path) -> str:
    """`path` as the user would type it from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def run(arguments: list[str], dots: bool = False) -> tuple[int, list[str]]:
    """Run a command in the repository; return its status and the lines it printed on stdout.

    With `dots`, a dot for each line as it comes: so one sees that it goes on.
    """
    print("$", " ".join(arguments), flush=True)
    lines = []
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if dots:
                print(".", end="", flush=True)
    if dots:
        print()
    return process.returncode, lines


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n== {text} ==", flush=True)


if __name__ == "__main__":
    sys.exit(main())
