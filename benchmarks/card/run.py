"""Runs modules with jaxlib's XLA and the reference with PyTorch, in turn, on the same card."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import models
from benchmarks.card.module import ABOUT, About, get
from benchmarks.cards import CUFFT
from benchmarks.machine import describe
from benchmarks.timing import verify
from demucs_tf.checkpoints.weights import arranged
from demucs_tf.errors import DemucsTFError
from parity.core.compare import Array
from parity.core.seeding import seeded_random, seeded_state

TOLERANCE = 1e-5  # relative L2 error: 100 dB
ROUNDS, PASSES = 15, 3  # a round is so many passes one after the other
PRODUCT = 8192
LIMIT = "limit/product"


class Module:
    """A module of ours, compiled, with the weights and mixture on the device."""

    def __init__(self, about: About, module: bytes, mix: Array) -> None:
        import jax
        from jax.extend.backend import get_backend
        from jaxlib import xla_client

        device = jax.devices()[0]
        self._run = get_backend().compile_and_load(
            module,
            executable_devices=xla_client.DeviceList((device,)),
            compile_options=xla_client.CompileOptions(),
        )
        shapes = ((place.key, place.reference_shape) for place in about.places)
        state = seeded_state(shapes, models.SEED)
        weights = arranged(about.places, state, "float32", about.model)
        shift = [np.zeros(len(mix), np.int32)] if about.shift else []
        self._inputs = [
            jax.device_put(np.ascontiguousarray(each), device) for each in (*weights, mix, *shift)
        ]

    def start(self) -> Any:
        """Begin a pass."""
        found = self._run.execute_sharded(self._inputs).disassemble_into_single_device_arrays()
        return found[0][0]

    def __call__(self, passes: int = 1) -> Any:
        """Run, until it is done."""
        import jax

        return jax.block_until_ready([self.start() for _ in range(passes)])[-1]

    def array(self) -> Array:
        """What it gives."""
        return np.asarray(self())


class Reference:
    """The reference on the same device."""

    def __init__(self, model: str, mix: Array, device: str) -> None:
        import torch

        self._device = device
        self._model = models.reference(model).to(device)
        self.samplerate = self._model.samplerate
        self._mix = torch.from_numpy(mix).to(device)

    def __call__(self, passes: int = 1) -> Any:
        """Run, until it is done."""
        import torch

        with torch.no_grad(), seeded_random():
            for _ in range(passes):
                found = self._model(self._mix)
        if self._device != "cpu":
            torch.cuda.synchronize()
        return found

    def array(self) -> Array:
        """What it gives."""
        stems: Array = self().cpu().numpy()
        return stems


def mixture(about: About) -> Array:
    """The noise that both sides hear."""
    generator = np.random.default_rng(models.SEED)
    return generator.uniform(-0.5, 0.5, about.shape).astype(np.float32)


def measure(path: Path, device: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Hold both to what the reference gives on the processor, then time them in turn.

    Raises:
        WrongResult: ours is wrong, and nothing was timed.
    """
    about, module = get(path)
    mix = mixture(about)
    began = time.perf_counter()
    ours = Module(about, module, mix)
    say(f"{path.stem}: compiled in {time.perf_counter() - began:.1f} s")
    wanted = {"stems": Reference(about.model, mix, "cpu").array()}
    reference = Reference(about.model, mix, device)
    ways: dict[str, Module | Reference] = {"xla": ours, "torch": reference}
    bounds = {"xla": TOLERANCE, "torch": CUFFT}
    snr = {
        way: verify(way, {"stems": run.array()}, wanted, bounds[way]) for way, run in ways.items()
    }
    for run in ways.values():
        run(PASSES)
    subject = models.SUBJECTS[about.model]
    return {
        "case": {"name": f"card/{about.model}, batch {len(mix)}", "ways": [*ways], "curve": ""},
        "against": "torch",
        "flop": subject.gflop and subject.gflop * 1e9 * len(mix),
        "audio": len(mix) * about.shape[-1] / reference.samplerate,
        "points": {},
        "left_out": {},
        "snr_db": snr,
        "rounds": [
            {way: {"seconds": seconds(run)} for way, run in ways.items()} for _ in range(ROUNDS)
        ],
    }


def seconds(run: Callable[[int], Any]) -> float:
    """Of one pass, of several one after the other."""
    began = time.perf_counter()
    run(PASSES)
    return (time.perf_counter() - began) / PASSES


def limit(device: str) -> dict[str, Any]:
    """Large products by PyTorch, which is what shares are of."""
    import torch

    size = PRODUCT if device != "cpu" else 1024
    left, right = (torch.rand(size, size, device=device) - 0.5 for _ in range(2))

    def run(passes: int) -> None:
        for _ in range(passes):
            found = left @ right
        found[0, 0].cpu()

    run(PASSES)
    return {
        "case": {"name": LIMIT, "ways": ["torch"], "curve": ""},
        "against": "torch",
        "flop": 2 * size**3,
        "audio": None,
        "points": {},
        "left_out": {},
        "snr_db": {"torch": float("inf")},
        "rounds": [{"torch": {"seconds": seconds(run)}} for _ in range(ROUNDS)],
    }


def run(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure all modules of a folder: a record as `python -m benchmarks report` reads it.

    Raises:
        DemucsTFError: there is none.
        WrongResult: see `measure`.
    """
    import torch

    paths = sorted(folder.glob(f"*{ABOUT}"))
    if not paths:
        raise DemucsTFError(
            f"{folder}: expected what `python -m benchmarks card write {folder}` writes, found "
            "nothing of it: run that first, where TensorFlow is."
        )
    # Both want the card's memory; the reference's products as they are, not in TF32.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    device = "cuda" if torch.cuda.is_available() else "cpu"
    cases = [limit(device), *(measure(path, device, say) for path in paths)]
    about = describe(torch.get_num_threads(), ["card"])
    card = torch.cuda.get_device_name() if device == "cuda" else "no card"
    return {
        "datetime": datetime.now(timezone.utc).isoformat(),
        "commit_info": {},
        "machine_info": {**about, "cpu": {"brand_raw": card}, "system": platform.system()},
        "benchmarks": [{"extra_info": case} for case in cases],
    }
