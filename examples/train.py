"""Train a Demucs on stems: a folder a piece, in it drums, bass, other and vocals as WAV or FLAC.

    python examples/train.py --data music/train --valid music/valid --out run --steps 20000
    python examples/train.py --data music/train --valid music/valid --out run --resume

`run/model.safetensors` is what demucs itself loads as well; `run/log.csv` has the losses. A
training that was killed, or stopped by --minutes or Ctrl-C, goes on with --resume as if nothing had
happened.
docs/training.md says what comes of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from demucs_tf.errors import DemucsTFError
from demucs_tf.models.presets import SOURCES
from demucs_tf.utils.quiet import quiet

# What the embedded model is: 2.3 million weights.
SMALL = {
    "channels": 24,
    "growth": 1.65,
    "depth": 6,
    "norm_groups": 1,
    "dconv_mode": 0,
    "resample": False,
    "segment": 10,
}
MODELS = ("DemucsTF", "HDemucsTF", "HTDemucsTF")


def main() -> int:
    """Train as the command line says; 0 if all went well, 1 after an error of one line."""
    options = parser().parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():  # TensorFlow's notes about this machine
        import tensorflow as tf
    if options.threads:
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    try:
        print(run(options))
    except (DemucsTFError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run(options: argparse.Namespace) -> str:
    """Build everything and train; a line that says how it went."""
    import keras

    from demucs_tf.training import Augmentation, Batches, Plan, StemFolder, train

    keras.utils.set_random_seed(options.seed)
    model = make(options)
    layout = (model.sources, model.samplerate, model.audio_channels)
    folder = StemFolder(options.data, *layout, scan=not options.no_scan)
    print(f"{options.data}: {len(folder.pieces)} pieces, {folder.seconds / 60:.0f} minutes")
    size = (options.batch, options.seconds)
    batches = Batches(folder, *size, Augmentation(options.remix, tuple(options.gain)), options.seed)
    validation = None
    if options.valid:
        validation = Batches(StemFolder(options.valid, *layout, scan=False), *size, seed=0)
    plan = Plan(
        -(-options.steps // options.every) * options.every,
        options.every,
        options.learning_rate,
        options.warmup,
        options.decay,
        average=options.average,
    )
    state = train(
        model,
        batches,
        plan,
        options.out,
        validation=validation,
        validation_steps=options.valid_batches,
        resume=options.resume,
        jit=options.jit,
        minutes=options.minutes,
        callbacks=tensorboard(options),
        verbose=options.verbose,
    )
    todo = "" if state.step == plan.steps else f" of {plan.steps}; go on with --resume"
    return f"{options.out / 'model.safetensors'}: step {state.step}{todo}"


def make(options: argparse.Namespace) -> Any:
    """The model: from a checkpoint, of a published layout, or of the arguments."""
    import demucs_tf
    from demucs_tf.models.presets import PRESETS, build

    arguments = json.loads(options.arguments) if options.arguments else {}
    if options.model in PRESETS:
        return build(options.model, **arguments)
    if options.model in MODELS:
        small = SMALL if options.model == "DemucsTF" and not options.arguments else {}
        return getattr(demucs_tf, options.model)(list(SOURCES), **{**small, **arguments})
    model = demucs_tf.load_model(options.model)
    if isinstance(model, demucs_tf.BagOfModels):
        raise ValueError(f"{options.model} is a bag: choose one of its models.")
    return model


def tensorboard(options: argparse.Namespace) -> list[Any]:
    """Keras's callback, if wanted."""
    if not options.tensorboard:
        return []
    if find_spec("tensorboard") is None:
        raise ValueError('--tensorboard needs TensorBoard: pip install "demucs-tf[training]".')
    import keras

    return [keras.callbacks.TensorBoard(options.out / "tensorboard", update_freq="epoch")]


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="pieces to learn from")
    add("--valid", type=Path, metavar="DIR", help="pieces to measure on after each epoch")
    add("--out", type=Path, required=True, metavar="DIR", help="state, model and log")
    add("--resume", action="store_true", help="go on from what is in --out")
    add(
        "--model",
        default="DemucsTF",
        help=f"{', '.join(MODELS)}, a published layout (htdemucs), or a checkpoint to start from",
    )
    add("--arguments", metavar="JSON", help='of the model: \'{"channels": 16, "depth": 5}\'')
    add("--steps", type=int, default=20000, metavar="N")
    add("--minutes", type=float, metavar="M", help="stop after the epoch in which they are over")
    add("--every", type=int, default=100, metavar="N", help="steps of an epoch (default: 100)")
    add("--batch", type=int, default=6, metavar="N", help="items (default: 6)")
    add("--seconds", type=float, default=2.0, metavar="S", help="of an excerpt (default: 2)")
    add("--learning-rate", type=float, default=4e-3, metavar="X")
    add("--warmup", type=int, default=100, metavar="N", help="steps (default: 100)")
    add("--decay", type=int, default=0, metavar="N", help="steps at the end (default: 0)")
    add("--average", type=float, default=0.99, metavar="X", help="momentum of averaged weights")
    add("--remix", type=float, default=0.5, metavar="SHARE", help="items of mixed pieces")
    add("--gain", type=float, nargs=2, default=(0.25, 1.25), metavar=("MIN", "MAX"))
    add("--valid-batches", type=int, default=8, metavar="N")
    add("--seed", type=int, default=0, metavar="N")
    add("--jit", action="store_true", help="compile steps with XLA: 1.4 times as fast")
    add("--threads", type=int, default=0, metavar="N", help="of the processor (default: all)")
    add("--no-scan", action="store_true", help="accept silent and clipped stems")
    add("--tensorboard", action="store_true", help="write its events into --out as well")
    add("--verbose", type=int, default=1, choices=(0, 1, 2), help="as in Keras's fit")
    return made


if __name__ == "__main__":
    sys.exit(main())
