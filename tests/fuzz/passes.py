"""Models whose arguments are at the edges of their ranges and beyond, and a pass through them."""

from __future__ import annotations

import json
import math
import os
import random
import resource
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from demucs_tf.errors import DemucsTFError
from demucs_tf.inference.bounds import MEMORY
from demucs_tf.models.config import CONFIGS, Config
from demucs_tf.models.ranges import CHOICES, NUMBERS, WHOLE
from tests.fuzz.run import Case, Outcome, TooSlow, refusal, time_limit
from tests.fuzz.samples import entries_of, package, written, zipped
from tests.fuzz.watch import MB, peak, restart_peak
from tests.support.headers import pack

MAX_SECONDS = 30  # of the processor, for loading and one pass over a second of audio
MAX_GROWTH = 2048 * MB
_COPIES = 10  # of the weights, while they are read and while a pass runs
_ROOM = 8 * 2**30  # of addresses, beyond which nothing is given
_MOST_ARRAYS, _MOST_NUMBERS = 2000, 2**23  # that a file is written with
_SCALE = np.float32(0.2)  # of the weights

_SOUND: dict[str, dict[str, Any]] = {
    "demucs.demucs.Demucs": {"channels": 4, "depth": 2},
    "demucs.hdemucs.HDemucs": {"channels": 8, "depth": 4, "nfft": 256},
    "demucs.htdemucs.HTDemucs": {
        "channels": 8,
        "depth": 2,
        "nfft": 256,
        "bottom_channels": 16,
        "t_layers": 2,
        "t_heads": 2,
    },
}
_SHARED: dict[str, Any] = {"sources": ["a", "b"], "samplerate": 8000, "segment": 0.5}
_BAG: dict[str, Any] = {"models": ["aaaa", "bbbb"], "weights": [[1, 1], [1, 2]], "segment": 0.4}
_SETTINGS: dict[str, Any] = {"segment": None, "split": True, "overlap": 0.25, "engine": "eager"}
_ABSURD: list[Any] = [
    *(0, -1, 1, 2, 3, 7, 64, 255, 2**15, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1),
    *(1e300, -1e300, 1e-300, 1e60, 1e-60, 0.5, 0.1, -0.5, math.nan, math.inf, -math.inf),
    *(True, False, None, "", "x", "1/3", "\x1b[2J", [], [0], [0.5], [1] * 5000, ["a"] * 101, {}),
]
_LISTS: dict[str, list[Any]] = {
    "sources": [
        ["a"],
        [f"{n}" for n in range(100)],
        [f"{n}" for n in range(10**5)],
        ["a", "A"],
        ["\ufb01", "fi"],
        ["../a"],
        [".."],
        ["a\n"],
    ],
    "multi_freqs": [[0.2, 0.5], [0.5] * 3, [1e-300], [0.999999], [math.nan], [0.01] * 100],
    "t_cape_glob_loc_scale": [[5000, 1, 1.4], [0, 0, 0], [1e300] * 3, [math.nan] * 3, [1.0], []],
    "models": [["aaaa"], ["aaaa"] * 64, ["aaaa"] * 65, ["../aaaa", "aaaa"], ["none", "aaaa"]],
}
_WEIGHTS = (0, 1, -1, 0.5, 1e12, 1e-12, 1e13, 1e60, 1e-60, -1e60, math.nan, 10**400, True, "1")


def cases(seed: int, start: int = 0) -> Iterator[Case]:
    """Models without end, from number `start`, each as JSON: what `Passes` makes of it is a file.

    `klass` is the reference's class, `suffix` of the file, `changes` to sound arguments, to those
    of a bag and to the settings of a pass.
    """
    number = start
    kinds = [(klass, suffix) for suffix in (*WRITERS, ".yaml") for klass in CONFIGS]
    while True:
        dice = random.Random(f"pass {seed} {number}")
        klass, suffix = kinds[number % len(kinds)]
        drawn = {
            "klass": klass,
            "suffix": suffix,
            "seed": number,
            "changes": _changes(CONFIGS[klass], dice),
            "bag": _bag_changes(dice) if suffix == ".yaml" else {},
            "settings": _settings(dice),
        }
        name = f"{klass.rpartition('.')[2]}{suffix}"
        yield Case(number, name, ".json", json.dumps(drawn, indent=1).encode())
        number += 1


def _changes(config: type[Config], dice: random.Random) -> dict[str, Any]:
    names = config.names()
    chosen = dice.sample(names, dice.choice((1, 1, 2, 3, 5)))
    return {name: _value(name, config.defaults().get(name), dice) for name in chosen}


def _value(name: str, default: Any, dice: random.Random) -> Any:
    """A value in, at or beyond the edge of its range, or of another kind."""
    if dice.random() < 0.15:
        return dice.choice(_ABSURD)
    if name in _LISTS:
        return dice.choice(_LISTS[name])
    if name in CHOICES:
        return dice.choice((*CHOICES[name], "none"))
    if name == "segment":
        return dice.choice((0.01, 0.009, 1e-4, 1, 300, 300.1, 3600, 2**26 / 44100, "39/5"))
    if isinstance(default, bool):
        return not default
    if name in WHOLE:
        least, most = WHOLE[name]
        inside = round(math.exp(dice.uniform(0, math.log(most))))
        near = (least, least + 1, least + 2, inside // 8 + 1)
        return dice.choice((*near, inside, most, least - 1, most + 1))
    if name in NUMBERS:
        low, high = NUMBERS[name]
        share = math.exp(dice.uniform(-5, math.log(high)))
        edges = (low, high, math.nextafter(high, math.inf), -high, 1e-12)
        return dice.choice((share, share, min(share, 2.0), *edges))
    return dice.choice(_ABSURD)


def _bag_changes(dice: random.Random) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if dice.random() < 0.4:
        changes["weights"] = [[dice.choice(_WEIGHTS) for _ in "ab"] for _ in "ab"]
    if dice.random() < 0.4:
        changes["segment"] = _value("segment", None, dice)
    if dice.random() < 0.2:
        changes["models"] = _value("models", None, dice)
    return changes


def _settings(dice: random.Random) -> dict[str, Any]:
    if dice.random() < 0.6:
        return {}
    return {
        "segment": dice.choice((None, 1e-9, 0.05, 1, 300, 3600, 1e300)),
        "split": dice.random() < 0.7,
        "overlap": dice.choice((0, 0.25, 1 - 1e-9)),
        "engine": dice.choice(("eager", "graph")),
    }


@dataclass
class Passes:
    """Writes models, loads them as a user does, and separates one second of audio.

    `separate` stands in for that in tests: it gets the file, the settings and the sample rate.
    """

    folder: Path
    separate: Callable[[Path, dict[str, Any], int], dict[str, Any]] | None = None

    def warm_up(self) -> None:
        """Import and trace what any model does; sound models have to give finite stems."""
        os.environ[MEMORY] = f"{MAX_GROWTH / 1e9}"
        for klass in _SOUND:
            for suffix in (*WRITERS, ".yaml"):
                sound = {"klass": klass, "suffix": suffix, "seed": 0}
                outcome = self.judge(Case(0, klass, ".json", json.dumps(sound).encode()))
                if outcome.kind != "model":
                    raise AssertionError(f"The sound {klass}{suffix} is refused: {outcome}")
        with Path("/proc/self/statm").open() as file:
            limit = int(file.read().split()[0]) * resource.getpagesize() + _ROOM
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def judge(self, case: Case) -> Outcome:
        """Write the file that the case describes, and say what becomes of it."""
        drawn = {"changes": {}, "bag": {}, "settings": {}, **json.loads(case.content)}
        path, numbers, rate = _write(self.folder, drawn)
        settings = {**_SETTINGS, **drawn["settings"]}
        before, start = restart_peak(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = self._judge(path, settings, rate)
        growth, seconds = peak() - before, time.process_time() - start
        if not outcome.is_finding and growth > MAX_GROWTH + _COPIES * 4 * numbers:
            return Outcome("memory", f"grew by {growth // MB} MB")
        if not outcome.is_finding and seconds > MAX_SECONDS:
            return Outcome("slow", f"took {seconds:.1f} s")
        return outcome

    def _judge(self, path: Path, settings: dict[str, Any], rate: int) -> Outcome:
        try:
            with time_limit(MAX_SECONDS):
                stems = (self.separate or _separate)(path, settings, rate)
        except DemucsTFError as error:
            return refusal(error)
        except TooSlow:
            return Outcome("slow", traceback.format_exc())
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raised = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
            if isinstance(error, ValueError) and "demucs_tf" in raised.parts:  # of a setting
                return refusal(error)
            return Outcome(type(error).__name__, traceback.format_exc())
        bad = [name for name, stem in stems.items() if not np.isfinite(stem).all()]
        return Outcome("not finite", f"{bad}") if bad or not stems else Outcome("model")

    def minimised(self, case: Case, kind: str) -> bytes:
        """The same finding with as few changes as it takes."""
        drawn = json.loads(case.content)
        for part in ("settings", "bag", "changes"):
            for name in list(drawn[part]):
                fewer = {key: value for key, value in drawn[part].items() if key != name}
                content = json.dumps({**drawn, part: fewer}, indent=1).encode()
                if self.judge(Case(case.number, case.sample, case.suffix, content)).kind == kind:
                    drawn[part] = fewer
        return json.dumps(drawn, indent=1).encode()


def _separate(path: Path, settings: dict[str, Any], rate: int) -> dict[str, Any]:
    from demucs_tf import Separator

    separator = Separator(path, shifts=0, **settings)
    channels = separator.audio_channels
    wav = np.random.default_rng(0).uniform(-0.5, 0.5, (channels, rate)).astype(np.float32)
    _, stems = separator.separate_tensor(wav)
    return stems


def _write(folder: Path, drawn: dict[str, Any]) -> tuple[Path, int, int]:
    """Write a model or a bag; return its path, how many numbers it has, and its sample rate."""
    config = CONFIGS[drawn["klass"]]
    arguments = {**_SHARED, **_SOUND[config.reference], **drawn["changes"]}
    # Where there is no such model, which the reader has to find out, the weights are of another.
    model = _made(config, arguments, drawn["seed"]) or _sound(config.reference)
    for old in folder.iterdir():
        old.unlink()
    path = folder / f"case{drawn['suffix']}"
    files = [path]
    if path.suffix == ".yaml":
        path.write_text(yaml.safe_dump({**_BAG, **drawn["bag"]}), "utf-8")
        files = [folder / f"{name}.safetensors" for name in _BAG["models"]]
    for file in files:
        file.write_bytes(WRITERS[file.suffix](drawn["klass"], arguments, model))
    return path, len(files) * model.count_params(), model.samplerate


@cache
def _sound(klass: str) -> Any:
    return _made(CONFIGS[klass], {**_SHARED, **_SOUND[klass]}, seed=0)


def _made(config: type[Config], arguments: dict[str, Any], seed: int) -> Any:
    """A model with random weights; None: the arguments describe none, or a large one."""
    from demucs_tf.checkpoints.weights import load_state, shapes_of
    from demucs_tf.layers.base import Budget, blank_weights, limited
    from demucs_tf.models.ports import PORTS

    try:
        with blank_weights(), limited(Budget(_MOST_ARRAYS, _MOST_NUMBERS)):
            model = PORTS[config.reference].from_config(arguments)
    except Exception:
        return None
    dice = np.random.default_rng(seed)
    draw = partial(dice.standard_normal, dtype=np.float32)
    load_state(model, {key: _SCALE * draw(shape) for key, shape in shapes_of(model).items()})
    return model


def _package(klass: str, arguments: dict[str, Any], model: Any) -> bytes:
    from demucs_tf.checkpoints.weights import read_state

    return package(klass, arguments, read_state(model))


def _safetensors(klass: str, arguments: dict[str, Any], model: Any) -> bytes:
    from demucs_tf.checkpoints.weights import read_state

    metadata = {"klass": klass, "args": "[]", "kwargs": json.dumps(arguments)}
    return pack(metadata, read_state(model))


def _keras(klass: str, arguments: dict[str, Any], model: Any) -> bytes:
    entries = entries_of(written(".keras", model.save))
    config = json.loads(entries["config.json"])
    config["config"].update(arguments)
    return zipped({**entries, "config.json": json.dumps(config).encode()})


WRITERS: dict[str, Callable[[str, dict[str, Any], Any], bytes]] = {
    ".th": _package,
    ".safetensors": _safetensors,
    ".keras": _keras,
}


def new_runner() -> Passes:
    """A runner in a folder of its own, warmed up."""
    runner = Passes(Path(tempfile.mkdtemp(prefix="fuzz-")))
    runner.warm_up()
    return runner
