"""The main job from end to end: separate music, measure it, and check the model layer by layer.

Run by `make demo`. Everything it writes lies in one folder, ./demo unless another is named.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from demucs_tf.utils.quiet import quiet
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is not installed for {sys.executable}: run `make demo`.")

ROOT = Path(__file__).resolve().parent.parent
STEMS = ROOT / "examples" / "piece_stems"
SOURCES = ["drums", "bass", "other", "vocals"]

PROMISE = """\
A piece of music becomes four stems, which are measured against the true ones; then every layer of
the model is compared with what the PyTorch reference gave. Nothing is downloaded, and PyTorch is
not needed."""

WORTH = """\
The model is the small one in the package, `-n demo`: it was trained with this code on pieces that a
generator composed and rendered (docs/training.md). This piece has other instruments and another
singer. For recordings there are the published models."""

NEXT = """\
What next:
  Separate your own song with htdemucs, which is downloaded (or -n demo, which is not):
    {command} separate SONG
  Open the report; "How to read this" on it explains the columns. For all configurations:
    {python} -m parity run --html parity.html
  Train: examples/train.py, examples/finetune.py. More: README.md, docs/training.md."""


def main() -> int:
    """Run the demo; the exit status is that of the first step that fails, or 0."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=WORTH)
    parser.add_argument("-o", "--out", type=Path, default=Path("demo"), metavar="DIR")
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(PROMISE)

    mixture, truth = read_truth(out / "mixture.flac")
    say(f"1/3 Separate {truth.shape[-1] / 44100:.0f} s of rendered music")
    print(WORTH)
    options = ["-n", "demo", "-o", str(out / "stems"), "--seed", "0", "--float32"]
    status, stems = run([str(command()), "separate", str(mixture), *options])
    if status:
        return status

    say("2/3 Measure the stems against the true ones")
    measure(truth, [Path(stem) for stem in stems], out / "spectrograms.png")

    say("3/3 Compare every layer of the model with the reference")
    report = out / "parity.html"
    check = [sys.executable, "-m", "parity", "run", "--embedded", "--html", str(report)]
    status, results = run(check)
    print(*results, sep="\n")
    if status:
        return status

    say("Done")
    print("Stems:", *stems, sep="\n  ")
    print("Pictures:", out / "spectrograms.png", sep="\n  ")
    print("Report (opens from disk in any browser):", report, sep="\n  ")
    print(NEXT.format(command=shown(command()), python=shown(Path(sys.executable))))
    return 0


def read_truth(mixture: Path) -> tuple[Path, Any]:
    """Add up the stems of the repository into a file; the stems, (S, A, T)."""
    import numpy as np
    import soundfile

    truth = np.stack([soundfile.read(STEMS / f"{stem}.flac")[0].T for stem in SOURCES])
    soundfile.write(mixture, truth.sum(axis=0).T, 44100, subtype="PCM_16")
    return mixture, truth


def measure(truth: Any, files: list[Path], picture: Path) -> None:
    """Print the SDR of the stems, and of the mixture in their place; draw their spectrograms."""
    import numpy as np
    import soundfile

    sys.path.insert(0, str(ROOT))
    with quiet():
        from examples.evaluate import of_mixture, sdr

    by_name = {path.stem: path for path in files}
    estimates = np.stack([soundfile.read(by_name[stem])[0].T for stem in SOURCES])
    with quiet():  # they import TensorFlow
        found, before = sdr(truth, estimates), of_mixture(truth)
    print("SDR in dB (museval, BSSEval v4, median over seconds):")
    print(f"  {'':8s} {'mixture':>8s} {'stem':>8s} {'gain':>8s}")
    for stem, old, new in zip(SOURCES, before, found, strict=True):
        print(f"  {stem:8s} {old:8.2f} {new:8.2f} {new - old:+8.2f}")
    draw(truth, estimates, picture)


def draw(truth: Any, estimates: Any, picture: Path) -> None:
    """A row for each stem: the true one, and what the model made of the mixture."""
    import numpy as np

    with quiet():
        import matplotlib

        matplotlib.use("agg")
        from matplotlib import pyplot
    figure, axes = pyplot.subplots(len(SOURCES), 2, figsize=(10, 10), sharex=True, sharey=True)
    for row, stem, *pair in zip(axes, SOURCES, truth, estimates, strict=True):
        for axis, wav, what in zip(row, pair, ("truth", "demo"), strict=True):
            with np.errstate(divide="ignore"):  # a stem that pauses is silent to the bit
                axis.specgram(wav.mean(axis=0), NFFT=2048, Fs=44100, vmin=-140, vmax=-30)
            axis.set(title=f"{stem}: {what}", ylim=(0, 10000))
    figure.supxlabel("seconds")
    figure.supylabel("Hz")
    figure.tight_layout()
    figure.savefig(picture, dpi=90)
    pyplot.close(figure)


def command() -> Path:
    """The installed `demucs-tf` of the Python that runs this."""
    found = sorted(Path(sys.executable).parent.glob("demucs-tf*"))
    if not found:
        sys.exit("demucs-tf is not installed here: run `make demo`, or `pip install .` first.")
    return found[0]


def shown(path: Path) -> str:
    """`path` as the user would type it from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def run(arguments: list[str]) -> tuple[int, list[str]]:
    """Run a command in the repository; return its status and the lines it printed on stdout."""
    print("$", " ".join(arguments), flush=True)
    done = subprocess.run(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout.splitlines()


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n== {text} ==", flush=True)


if __name__ == "__main__":
    sys.exit(main())
