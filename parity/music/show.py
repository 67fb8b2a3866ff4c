"""Tables of `gates` for people: a line a model and stem, as text and Markdown; all as CSV."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from parity.core.files.atomic import write_whole
from parity.core.result import ParityError
from parity.music.gates import LEAST_SNR, MOST_DB

if TYPE_CHECKING:
    import pandas as pd

# As people write them, in the order of the columns.
NAMES = {"sdr": "SDR", "si_sdr": "SI-SDR", "isr": "ISR", "sir": "SIR", "sar": "SAR"}
NEEDED = {"model", "scene", "stem", "stretch", "snr", "verdict", "reason"}
VERDICTS = ("fail", "not decided", "pass")  # the worst first
GATES = (
    f"Gates, in every stretch: SDR, SI-SDR and level change by at most {MOST_DB:g} dB; "
    f"SNR of the port against the reference at least {LEAST_SNR[True]:g} dB for all stems of a "
    f"whole scene, {LEAST_SNR[False]:g} dB for one stem or a stretch."
)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a model and stem, as text: the reference's measures, the worst changes, lowest SNR.

    Measures are medians over whole scenes; changes and SNR are the worst of all scenes and, where
    they are gated, stretches.
    """
    import pandas as pd

    lines = []
    for (model, stem), group in frame.groupby(["model", "stem"], sort=False):
        whole = group[group["stretch"] == "whole"]
        line = {"model": model, "stem": stem}
        for measure, name in NAMES.items():
            line[name] = _decibel(whole[f"{measure}_reference"].median())
        for measure, name in NAMES.items():
            line[f"Δ{name}"] = _small(group[f"delta_{measure}"].abs().max())
        line["Δlevel"] = _small(group["delta_level"].abs().max())
        line["SNR"] = _decibel(whole["snr"].min())
        line["SNR in a stretch"] = _decibel(group["snr"].min())
        line["verdict"] = next(v for v in VERDICTS if (group["verdict"] == v).any())
        lines.append(line)
    return pd.DataFrame(lines)


def failures(frame: pd.DataFrame) -> list[str]:
    """A sentence for each row that did not pass, those that failed first."""
    return [
        f"{verdict}: {row.model}, {row.scene}, {row.stem}, {row.stretch}: {row.reason}"
        for verdict in VERDICTS[:-1]
        for row in frame[frame["verdict"] == verdict].itertuples()
    ]


def text(lines: pd.DataFrame) -> str:
    """A summary in columns."""
    return str(lines.to_string(index=False))


def markdown(lines: pd.DataFrame) -> str:
    """A summary as a table of Markdown, with the gates below."""
    names = [*lines.columns]
    rule = ["---" if name in ("model", "stem", "verdict") else "---:" for name in names]
    rows = [names, rule, *lines.to_numpy().tolist()]
    return "\n".join(["| " + " | ".join(map(str, row)) + " |" for row in rows]) + f"\n\n{GATES}\n"


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """All rows, whole or not at all."""
    write_whole(path, frame.to_csv(index=False))


def read_csv(path: Path) -> pd.DataFrame:
    """What `write_csv` wrote.

    Raises:
        ParityError: the file is missing or something else.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(path, converters={"reason": str})
    except (OSError, ValueError) as error:
        raise ParityError(
            f"{path} is no table of `python -m parity music --csv`: {error}."
        ) from error
    missing = sorted((NEEDED | {f"delta_{m}" for m in NAMES}) - set(frame.columns))
    if missing:
        raise ParityError(
            f"{path} is no table of `python -m parity music --csv`: it lacks {missing[0]!r}."
        )
    return frame


def _decibel(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.1f}" if math.isfinite(value) else "∞"


def _small(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "0" if value == 0 else f"{value:.1e}"
