"""The steps of a measurement, each of which runs in a process of its own and gives numbers."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.exports.files import OVERLAP, file_of
from benchmarks.models import music, port, reference
from benchmarks.timing import timed
from demucs_tf.runtimes.model import ExportedModel
from parity.core.compare import compare, snr_db

THREADS = 2
ROUNDS = 7  # of which the first warms up
PAUSE = 0.2  # seconds, in which the threads of the one before go to sleep


def heard(folder: Path, name: str) -> dict[str, Any]:
    """What the reference makes of the music, kept in a file.

    It runs HDemucs and Demucs on a shorter last chunk at its own length, which a file of one length
    can't. So the music is heard twice: with a segment of silence behind it, so that all chunks that
    reach into it are whole, and alone.
    """
    import torch
    from demucs.apply import apply_model

    torch.set_num_threads(THREADS)
    model, mix = reference(name), music()
    silence = np.zeros((2, int(model.segment * model.samplerate)), np.float32)
    arrays = {"mix": mix, "followed": np.concatenate([mix, silence], axis=1)}
    found = {}
    start = time.monotonic()
    for key, wav in arrays.items():
        with torch.no_grad():
            stems = apply_model(model, torch.from_numpy(wav)[None], shifts=0, overlap=OVERLAP)
        found[f"{key}_stems"] = stems[0, ..., : mix.shape[1]].numpy()
    np.savez(_heard(folder, name), **arrays, **found)
    return {"seconds": time.monotonic() - start, "track": mix.shape[1] / model.samplerate}


def _heard(folder: Path, name: str) -> Path:
    return folder / f"{name}-reference.npz"


def heard_by_reference(folder: Path, name: str) -> Any:
    """What `heard` has kept: arrays by their names."""
    return np.load(_heard(folder, name))


def export(folder: Path, name: str, form: str, weights: str, variant: str = "") -> dict[str, Any]:
    """Export: seconds, also of the processor, the peak of memory, and the size of the file."""
    from demucs_tf.export import export_model

    model = port(name, half=variant == "half")
    path = file_of(folder, name, (form, weights), variant)
    start, worked = time.monotonic(), time.process_time()
    export_model(model, path, form, weights=weights, force=True, name=name)
    seconds, worked = time.monotonic() - start, time.process_time() - worked
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"seconds": seconds, "cpu": worked, "peak": peak, "bytes": path.stat().st_size}


def errors(folder: Path, name: str, form: str, weights: str, variant: str = "") -> dict[str, Any]:
    """How far an exported file, or "tensorflow", is from the reference over the whole track, in dB.

    `followed` has a segment of silence behind it and `alone` has not; see `heard`.
    """
    from demucs_tf import apply_model

    if form == "tensorflow":
        model = port(name)
    else:
        model = exported(file_of(folder, name, (form, weights), variant))
    stored = heard_by_reference(folder, name)
    length = stored["mix"].shape[1]
    found: dict[str, Any] = {}
    for key, wav in (("followed", "followed"), ("alone", "mix")):
        stems = apply_model(model, stored[wav][None], shifts=0, overlap=OVERLAP)
        found[key] = distance(stems[0, ..., :length], stored[f"{wav}_stems"])
    stride = int((1 - OVERLAP) * int(model.segment * model.samplerate))
    last = (length - 1) // stride * stride
    found["before_last_chunk"] = distance(stems[0, ..., :last], stored["mix_stems"][..., :last])
    return found


def distance(stems: Any, wanted: Any) -> dict[str, float]:
    """How far stems are from those that are wanted, in dB: all of them, and the worst."""
    pairs = [*zip(stems, wanted, strict=True)]
    return {
        "total": snr_db(stems, wanted),
        "lowest": min(snr_db(*pair) for pair in pairs),
        "si_sdr": min(compare(*pair, 1.0).si_sdr_db or 0.0 for pair in pairs),
    }


def exported(path: Path) -> ExportedModel:
    """The model of a file."""
    from demucs_tf.runtimes.load import load_exported

    model = load_exported(path, THREADS)
    assert isinstance(model, ExportedModel)  # no bag is measured
    return model


def half(folder: Path, name: str, form: str) -> dict[str, Any]:
    """Whether float16 weights lose nothing where the checkpoint is in half precision."""
    stems = []
    for weights in ("float32", "float16"):
        model = exported(file_of(folder, name, (form, weights), "half"))
        mix = music()[None, :, : int(model.segment * model.samplerate)]
        stems.append(model(mix))
    return {"equal": bool(np.array_equal(stems[0], stems[1])), "snr": snr_db(stems[1], stems[0])}


def speed(folder: Path, name: str, form: str, weights: str) -> dict[str, Any]:
    """Seconds of a segment, a file and TensorFlow's graph in turns."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    from demucs_tf.inference.engine import forward_function

    load = os.getloadavg()[0]
    model = port(name)
    forward = forward_function(model)
    more = [np.zeros(1, np.int32)] if hasattr(model, "draw_shift") else []
    file = exported(file_of(folder, name, (form, weights)))
    length = file.metadata.length
    mix = music()[None, :, :length]
    runs: dict[str, Callable[[Any], Any]] = {
        "tensorflow": lambda mix: forward(mix, *more),
        "file": file,
    }
    times: dict[str, list[float]] = {key: [] for key in runs}
    for _ in range(ROUNDS):
        for key, run in runs.items():
            time.sleep(PAUSE)
            times[key].append(timed(partial(run, mix))["seconds"])
    return {"load": load, "length": length, **{k: v[1:] for k, v in times.items()}}


STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    "heard": heard,
    "export": export,
    "errors": errors,
    "half": half,
    "speed": speed,
}
