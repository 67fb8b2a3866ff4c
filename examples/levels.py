"""Draw how loud a song and its stems are over time, below the song's spectrogram.

python examples/levels.py song.flac levels.png
python examples/levels.py song.flac levels.png htdemucs
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

WINDOW = 0.25  # seconds of a level
QUIETEST = -60.0  # dB of full scale


def main() -> None:
    """Separate one song, and draw it."""
    if len(sys.argv) not in (3, 4):
        raise SystemExit("usage: levels.py SONG PICTURE.png [MODEL]")
    from demucs_tf import Separator

    song, picture, *model = sys.argv[1:]
    separator = Separator(model[0] if model else "demo", seed=0, progress=True)
    origin, stems = separator.separate_audio_file(song)
    draw(origin, stems, separator.samplerate, Path(picture))


def draw(origin: Any, stems: dict[str, Any], rate: int, picture: Path) -> None:
    """Two panels above each other."""
    import matplotlib
    import numpy as np

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(10, 5), sharex=True)
    with np.errstate(divide="ignore"):
        above.specgram(origin.mean(axis=0), NFFT=2048, Fs=rate, vmin=-140, vmax=-30)
    above.set(ylabel="Hz", yscale="symlog", ylim=(20, rate / 2))
    for name, wav in {"song": origin, **stems}.items():
        seconds, levels = levels_of(wav, rate)
        style = {"color": "0.7", "linewidth": 3} if name == "song" else {}
        below.plot(seconds, levels, label=name, **style)
    below.set(xlabel="seconds", ylabel="dB of full scale", ylim=(QUIETEST, 0))
    below.legend(ncols=len(stems) + 1, loc="lower center")
    below.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(picture, dpi=75)
    pyplot.close(figure)


def levels_of(wav: Any, rate: int) -> tuple[Any, Any]:
    """How far each window of (channels, T) swings about its mean: seconds, and dB of full scale."""
    import numpy as np

    width = int(WINDOW * rate)
    windows = wav[:, : wav.shape[-1] // width * width].reshape(len(wav), -1, width)
    power = windows.var(axis=2).mean(axis=0)
    return (np.arange(len(power)) + 0.5) * WINDOW, 10 * np.log10(power + 10 ** (QUIETEST / 10))


if __name__ == "__main__":
    main()
