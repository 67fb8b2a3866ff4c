"""What a model is trained with: stems on disk, augmentation, loss, callbacks.

docs/training.md has the recipe; `examples/train.py` is a command over it.
"""

from __future__ import annotations

from demucs_tf.training.augment import Augmentation
from demucs_tf.training.batches import Batches
from demucs_tf.training.plan import Plan
from demucs_tf.training.run import compiled, train
from demucs_tf.training.stems import StemFolder

__all__ = ["Augmentation", "Batches", "Plan", "StemFolder", "compiled", "train"]
